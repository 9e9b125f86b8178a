//! Messages with any optional members, of any type.

use ably_chat_exporter::ably::{Decoder, Verdict};
use ably_chat_exporter::chat::{ChatEvent, ChatMessage, Data, Serial};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reading::{entries_of, version_of};

/// A whole number as JSON may spell it.
fn spelled() -> impl Strategy<Value = String> {
    let number = 0..9_000_000_000_000_i64;
    prop_oneof![
        number.clone().prop_map(|n| n.to_string()),
        number.clone().prop_map(|n| format!("{n}.0")),
        number.clone().prop_map(|n| format!("{n}e0")),
        number.prop_map(|n| format!("{n}.50")),
        (1..9_999_i64, 0..9_u32).prop_map(|(n, zeros)| format!("{n}E+{zeros}")),
    ]
}

/// What may stand where some type is expected, as JSON text: halves of surrogate pairs too.
fn odd() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        Just(r#""half \ud83d""#.to_owned()),
    ];
    let constant = prop_oneof![Just("null"), Just("true"), Just("false")];
    let leaf = prop_oneof![spelled(), text.clone(), constant.prop_map(ToOwned::to_owned)];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let members = proptest::collection::vec((text.clone(), inner.clone()), 0..3);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(|v| format!("[{}]", v.join(","))),
            members.prop_map(object),
        ]
    })
}

fn object(members: Vec<(String, String)>) -> String {
    let members = members.into_iter().map(|(name, value)| format!("{name}:{value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// An object with some of these members, of any type, and unknown ones; or something else.
fn partly(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => proptest::sample::select(names).prop_map(|name| format!("{name:?}")),
        1 => Just(r#""unknown""#.to_owned()),
        1 => Just(r#""half \udc00""#.to_owned()),
    ];
    let members = proptest::collection::vec((name, odd()), 0..5).prop_map(object);
    prop_oneof![4 => members, 1 => odd()]
}

/// Optional members of a message, of any type.
fn optional() -> impl Strategy<Value = Vec<(String, String)>> {
    let of = |name: &'static str, value: BoxedStrategy<String>| {
        value.prop_map(move |value| (format!("{name:?}"), value)).boxed()
    };
    let member = prop_oneof![
        of("clientId", odd().boxed()),
        of("timestamp", prop_oneof![spelled(), odd()].boxed()),
        of("encoding", prop_oneof![Just(r#""json""#.to_owned()), odd()].boxed()),
        of("data", partly(&["text", "metadata"]).boxed()),
        of("extras", partly(&["headers", "userClaim"]).boxed()),
        of("version", partly(&["timestamp", "clientId", "description", "metadata"]).boxed()),
        of("annotations", partly(&["summary"]).boxed()),
        of("unknown", odd().boxed()),
    ];
    proptest::collection::vec(member, 0..6)
}

/// The members of a message, by the test's own reading: the last of a name counts.
fn last_of<'a>(members: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = members.iter().rev().find(|(it, _)| *it == format!("{name:?}"))?;
    Some(found.1.as_str()).filter(|value| *value != "null")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_optional_members_are_a_message_is_stored(
        members in optional(),
        action in proptest::sample::select(&["0", "0.0", "0e0"][..]),
    ) {
        let known = [("name", r#""chat.message""#), ("serial", r#""s1""#), ("action", action)];
        let known = known.map(|(name, value)| (format!("{name:?}"), value.to_owned()));
        let message = object([&known[..], &members].concat());
        let entry = entries_of(&message).remove(0);
        let message_json = message;
        prop_assert_eq!(entry.serial.as_ref().map(Serial::as_str), Some("s1"));
        let is_odd = |name| entry.odd.contains(&name);
        let Verdict::Event(ChatEvent::Version(message, _)) = entry.verdict else {
            panic!("{message_json}: {:?}", entry.verdict);
        };
        let is_bare = last_of(&members, "version").is_some_and(|it| it.starts_with('"'));
        prop_assert!(is_bare || message.version.serial == message.serial);
        // It is in its field, or as it came beside it.
        for (name, field) in [("clientId", Some(&message.client_id)), ("unknown", None)] {
            let Some(json) = last_of(&members, name) else { continue };
            let in_field = field.map(|field| Value::from(field.as_str()).to_string());
            let is_in_field = in_field.as_deref() == Some(json);
            let is_aside = || message.aside.values().any(|kept| kept.as_str() == json);
            prop_assert!(is_in_field || is_aside(), "{} {:?}", message_json, message.aside);
            prop_assert!(is_in_field || name == "unknown" || is_odd(name));
        }
        // What a `Value` can hold, MessagePack can: it says the same.
        let Ok(value) = serde_json::from_str::<Value>(&message_json) else { return Ok(()) };
        if message_json.matches("\":").count() != count_members(&value) {
            return Ok(()); // of a name that comes twice, it holds the last
        }
        let envelope = json!({"channel": "r::$chat", "messages": [value]});
        let packed = rmp_serde::to_vec(&envelope).expect("MessagePack holds what JSON does");
        let twin = Decoder::default().decode(&packed).expect("an envelope").remove(0);
        prop_assert_eq!(&twin.odd, &entry.odd);
        let twin = version_of(twin.verdict);
        prop_assert_eq!(comparable(&twin), comparable(&message), "{}", message_json);
    }
}

/// How many members the objects in a value have.
fn count_members(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(count_members).sum(),
        Value::Object(map) => map.len() + map.values().map(count_members).sum::<usize>(),
        _ => 0,
    }
}

/// What a message says, numbers by their value.
fn comparable(message: &ChatMessage) -> Value {
    let mut value = serde_json::to_value(message).expect("a value");
    if let Some(raw) = &message.raw {
        let text = match &raw.data {
            Data::Text(text) => text.clone(),
            Data::Bytes(bytes) => BASE64_STANDARD.encode(bytes),
        };
        let json = || serde_json::from_str(&text).ok();
        let is_json = raw.encoding.as_deref().is_some_and(|it| it.ends_with("json"));
        value["raw"] = is_json.then(json).flatten().unwrap_or_else(|| text.clone().into());
        value["encoding"] = json!(raw.encoding);
    }
    by_value(value)
}

fn by_value(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.into_iter().map(by_value).collect(),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(name, it)| (name, by_value(it))).collect())
        }
        other => other,
    }
}
