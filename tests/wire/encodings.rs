//! The chain of encodings: what is undone, and what is kept as it came.

use ably_chat_exporter::chat::Data;
use serde_json::{Value, json};

use crate::reading::{chat, decode_in, entry_of, version_of};

#[test]
fn a_string_that_lost_its_encoding_is_kept_and_reported() {
    let lost = |data: Value, encoding: Option<&str>| {
        let message = chat(&json!({"data": data, "encoding": encoding}));
        decode_in("r::$chat", &message, None).encoding_lost
    };
    assert!(lost(json!(r#"{"text":"t"}"#), None));
    assert!(lost(json!(r#"{"text":"t"}"#), Some("")));
    assert!(!lost(json!(r#"{"text":"t"}"#), Some("json")));
    assert!(!lost(json!({"text": "t"}), None));
    assert!(!lost(json!("text"), None));
}

#[test]
fn regression_half_a_surrogate_pair_in_a_name_lost_text_and_metadata() {
    for (data, rest) in [
        (r#"{"text":"t","metadata":{"a":1},"\ud83d":2}"#, r#"{"\ud83d":2}"#),
        (r#"{"\u0074ext":"t","metadata":{"a":1},"x":"\ud83d"}"#, r#"{"x":"\ud83d"}"#),
        (r#"{"text":"1st","text":"t","metadata":{"a":1}}"#, r#"{"text":"1st"}"#),
    ] {
        for members in [
            format!(r#""data":{data}"#),
            format!(r#""data":{},"encoding":"json""#, Value::from(data)),
        ] {
            let message = version_of(entry_of(&members).verdict);
            assert_eq!((message.text.as_str(), message.metadata.as_str()), ("t", r#"{"a":1}"#));
            let raw = message.raw.expect("the rest");
            assert_eq!(
                (raw.data, raw.encoding.as_deref()),
                (Data::Text(rest.into()), Some("json"))
            );
        }
    }
}

#[test]
fn regression_an_object_showed_no_text_for_what_was_left_of_its_chain() {
    let in_base64 = "eyJ0ZXh0IjoidCJ9";
    let show = |members: &str| {
        let message = version_of(entry_of(members).verdict);
        (message.text, message.raw.map(|raw| (raw.data, raw.encoding)))
    };
    let empty = |encoding: &str| Some((Data::Text("{}".into()), Some(encoding.into())));
    let members = r#""data":{"text":"t"},"encoding":"utf-8""#;
    assert_eq!(show(members), ("t".into(), empty("utf-8/json")));
    let members = r#""data":"{\"text\":\"t\"}","encoding":"vcdiff/json""#;
    assert_eq!(show(members), ("t".into(), empty("vcdiff/json")));
    let members = format!(r#""data":"{in_base64}","encoding":"json/base64""#);
    assert_eq!(show(&members), ("t".into(), None));
}
