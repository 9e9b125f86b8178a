//! How members of a message become fields, and what stands where one is missing.

use ably_chat_exporter::ably::{Body, Decoder, Verdict};
use ably_chat_exporter::chat::{ChatEvent, Serial};
use serde_json::json;

use crate::reading::{chat, entry_of, outcome, version_of};

#[test]
fn everything_but_the_serial_has_a_default() {
    let message = version_of(outcome(&json!({"name": "chat.message", "serial": "s1"})));
    assert_eq!((message.client_id.as_str(), message.text.as_str()), ("", ""));
    assert_eq!((message.metadata.as_str(), message.headers.as_str()), ("{}", "{}"));
    assert_eq!((message.user_claim, message.timestamp, message.raw), (None, 0, None));
    assert_eq!((message.version.serial.as_str(), message.version.timestamp), ("s1", 0));
}

#[test]
fn version_is_read_in_every_form_and_defaults_to_the_serial() {
    for (version, serial, timestamp) in [
        (json!(null), "s1", 7),
        (json!({}), "s1", 7),
        (json!({"serial": ""}), "s1", 7),
        (json!({"serial": "s2"}), "s2", 7),
        (json!({"serial": "s2", "timestamp": 9, "unknown": [1]}), "s2", 9),
        (json!("s2"), "s2", 7),
    ] {
        let message = version_of(outcome(&chat(&json!({"version": version}))));
        assert_eq!(message.version.serial.as_str(), serial, "{version}");
        assert_eq!(message.version.timestamp, timestamp, "{version}");
    }
}

#[test]
fn header_values_are_json_values_and_nulls_are_absent() {
    let headers = json!({"s": "x", "n": 1, "b": true, "z": null});
    let message = version_of(outcome(&chat(&json!({
        "extras": {"headers": headers, "userClaim": "vip", "unknown": {}},
        "clientId": null, "encoding": null, "annotations": null, "summary": null,
    }))));
    assert_eq!(message.headers.as_str(), headers.to_string());
    assert_eq!(message.user_claim.as_deref(), Some("vip"));
}

/// It would be taken for the first version, and be superseded by it in silence.
#[test]
fn an_edit_that_does_not_say_which_version_it_is_fails() {
    for version in ["7", r#"{"serial":7}"#, r#""\ud800""#] {
        let entry = entry_of(&format!(r#""action":1,"version":{version}"#));
        assert_eq!(entry.serial.expect("its name").as_str(), "s1");
        let Verdict::Fail(error) = entry.verdict else { panic!("{version}") };
        assert!(error.to_string().starts_with("$.messages[0].version"), "{error}");
    }
}

#[test]
fn regression_whole_numbers_in_another_spelling_were_refused() {
    let message = version_of(
        entry_of(r#""action":1.0,"timestamp":1.767e12,"version":{"serial":"s2","timestamp":9.0}"#)
            .verdict,
    );
    assert_eq!((message.timestamp, message.version.timestamp), (1_767_000_000_000, 9));
    assert_eq!(message.action.as_str(), "message.update");
    let summary = r#"{"reaction:distinct.v1":{"a":{"total":2.0}},
        "reaction:multiple.v1":{"b":{"total":0.3e1,"clientIds":{"ana":3.0}}}}"#;
    let outcome =
        entry_of(&format!(r#""action":4e0,"annotations":{{"summary":{summary}}}"#)).verdict;
    let Verdict::Event(ChatEvent::Reactions(found)) = outcome else { panic!("a summary") };
    assert_eq!(found.summary.reactions.distinct["a"].total, 2);
    assert_eq!(found.summary.reactions.multiple["b"].client_ids["ana"], 3);
}

#[test]
fn regression_a_failure_did_not_name_the_message() {
    let envelope = |members: &str, message: &str| {
        let body = format!(r#"{{{members}"messages":[{message}]}}"#);
        let decoder = Decoder { app_id: Some("app".into()), cipher_key: None };
        decoder.decode(body.as_bytes()).expect("entries").remove(0)
    };
    let room = r#""channel":"r::$chat","#;
    let message = r#"{"name":"chat.message","clientId":[],"extras":7,"action":9,"serial":"s1"}"#;
    for (members, path) in [
        (room, "$.messages[0].action"),
        (r#""channel":7,"#, "$.channel"),
        ("", "$.channel"),
        (&format!(r#""appId":7,{room}"#), "$.appId"),
    ] {
        let entry = envelope(members, message);
        assert_eq!(entry.serial.as_ref().map(Serial::as_str), Some("s1"), "{members}");
        let Verdict::Fail(error) = entry.verdict else { panic!("{members}") };
        assert!(error.to_string().starts_with(path), "{error}");
    }
    let body =
        format!(r#"{{"items":[{{"serial":7,"data":{{"channelId":[],"messages":[{message}]}}}}]}}"#);
    let entry = Decoder::default().decode(body.as_bytes()).expect("entries").remove(0);
    assert_eq!((entry.serial.expect("its name").as_str(), entry.item), ("s1", Some(0)));
}

#[test]
fn regression_150_000_messages_were_decoded_at_once() {
    let message = r#"{"name":"chat.message","serial":"s1","data":{"text":"t"}}"#;
    let messages = vec![message; 150_000].join(",");
    let body = format!(r#"{{"channel":"r::$chat","messages":[{messages},"the last"]}}"#);
    let body = Body::read(body.as_bytes()).expect("JSON");
    let decoder = Decoder::default();
    let mut entries = decoder.entries(&body).expect("messages");
    assert_eq!(entries.next().map(|entry| entry.index), Some(0));
    let last = entries.last().expect("a last one");
    assert_eq!((last.index, last.room.is_some()), (150_000, true));
    assert!(matches!(last.verdict, Verdict::Fail(_)));
}
