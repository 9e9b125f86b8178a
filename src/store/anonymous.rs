//! `REACTION_CLIENTS=totals`: JSON about reactions without anybody who reacted.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::chat::JsonText;

/// What a publisher says of a message, or who changed it: nothing about reactions.
const OF_THE_PUBLISHER: [&str; 11] = [
    "action",
    "clientId",
    "data",
    "encoding",
    "extras",
    "headers",
    "name",
    "serial",
    "timestamp",
    "userClaim",
    "version",
];

/// Members of a message that no field holds, without anybody who reacted: what is none of the
/// publisher's own may be about reactions.
pub(super) fn anonymous_aside(aside: &BTreeMap<String, JsonText>) -> BTreeMap<String, JsonText> {
    let anonymous = aside.iter().filter_map(|(name, json)| match is_publishers(name) {
        true => Some((name.clone(), json.clone())),
        false => Some((name.clone(), anonymous(json)?)),
    });
    anonymous.collect()
}

/// Whether a member kept aside is the publisher's, by its name.
pub(super) fn is_publishers(name: &str) -> bool {
    let member = name.split(['.', '#']).next().unwrap_or(name);
    OF_THE_PUBLISHER.contains(&member)
}

/// JSON about reactions that names nobody. What cannot be read cannot be shown to name nobody: it
/// is left out.
pub(super) fn anonymous(json: &JsonText) -> Option<JsonText> {
    let mut value: Value = serde_json::from_str(json.as_str()).ok()?;
    forget_clients(&mut value);
    (!names_somebody(&value)).then(|| json_text(&value))
}

/// Leaves names of reactions and their numbers: a member that is a text or an array may name
/// somebody, and so may the names within an entry, which is what has a total.
fn forget_clients(value: &mut Value) {
    let Value::Object(map) = value else { return };
    let is_entry = map.contains_key("total") || map.contains_key("count");
    map.retain(|name, member| {
        let may_name = matches!(name.as_str(), "clientIds" | "clientCounts")
            || names_somebody(member)
            || (is_entry && member.is_object());
        !may_name
    });
    map.values_mut().for_each(forget_clients);
}

fn names_somebody(value: &Value) -> bool {
    value.is_string() || value.is_array()
}

/// Whether JSON is a number, a boolean or null: nothing that names anybody.
pub(super) fn is_number(json: &JsonText) -> bool {
    !json.as_str().starts_with(['"', '[', '{'])
}

/// A value's JSON.
pub(super) fn json_text<T: serde::Serialize>(value: &T) -> JsonText {
    let text = serde_json::to_string(value).expect("maps with string keys serialise");
    JsonText::parse(text).expect("what was serialised parses")
}
