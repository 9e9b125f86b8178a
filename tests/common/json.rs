//! Any JSON, as text.

use proptest::prelude::*;
use serde_json::Value;

/// Any JSON, as text: what a client may put in `metadata`.
pub(crate) fn any_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("JSON has no infinities", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
        "-?[1-9][0-9]{0,60}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
    ];
    let text = any::<String>().prop_map(|text| Value::from(text).to_string());
    let leaf = prop_oneof![number, text, Just("null".into()), Just("true".into())];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let members = proptest::collection::vec((any::<String>(), inner.clone()), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(|v| format!("[{}]", v.join(","))),
            members.prop_map(|members| {
                let members =
                    members.iter().map(|(name, v)| format!("{}:{v}", Value::from(name.as_str())));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}
