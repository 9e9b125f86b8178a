//! Members of a wrong type, and unknown ones: kept beside the message that they do not keep out.

use ably_chat_exporter::ably::{Decoder, Verdict};
use ably_chat_exporter::chat::{ChatEvent, Data};
use serde_json::json;

use crate::reading::{aside, chat, entry_of, outcome, version_of};

/// Serde reads a struct from an array, member by member; Ably sends none.
#[test]
fn regression_an_array_is_not_an_object() {
    let list = json!(["chat.message", "ana", 7, "s1"]);
    assert!(matches!(outcome(&list), Verdict::Fail(_)));
    for (member, array) in
        [("version", json!(["s2"])), ("extras", json!([{}, true])), ("annotations", json!([{}]))]
    {
        let Verdict::Event(ChatEvent::Version(message, None)) =
            outcome(&chat(&json!({member: array})))
        else {
            panic!("{member}");
        };
        assert_eq!(message.version.serial.as_str(), "s1", "{member}");
        assert_eq!(message.aside[member].as_str(), array.to_string());
    }
    let odd = json!({"reaction:distinct.v1": {"a": [2, null, ["x"]]}});
    let summary = chat(&json!({"action": 4, "annotations": {"summary": odd}}));
    let Verdict::Event(ChatEvent::Reactions(found)) = outcome(&summary) else {
        panic!("a summary");
    };
    assert!(found.summary.reactions.distinct.is_empty());
    assert!(found.summary.annotations.contains_key("reaction:distinct.v1"));
}

#[test]
fn regression_a_wrong_type_in_an_optional_member_kept_the_message_out() {
    for (members, kept, odd) in [
        (r#""extras":"x""#, r#"extras="x""#, &["extras"][..]),
        (r#""extras":{"headers":"x"}"#, r#"headers="x""#, &["headers"]),
        (r#""extras":{"userClaim":7}"#, "userClaim=7", &["userClaim"]),
        (r#""extras":{"ephemeral":"true"}"#, r#"extras.ephemeral="true""#, &["extras.ephemeral"]),
        (r#""version":{"metadata":[]}"#, "version.metadata=[]", &["version.metadata"]),
        (
            r#""version":{"description":"\ud800"}"#,
            r#"version.description="\ud800""#,
            &["version.description"],
        ),
        (r#""version":{"serial":7}"#, "version.serial=7", &["version.serial"]),
        (r#""version":{"timestamp":1.5}"#, "version.timestamp=1.5", &["version.timestamp"]),
        (r#""version":7"#, "version=7", &["version"]),
        (r#""clientId":"half \ud83d""#, r#"clientId="half \ud83d""#, &["clientId"]),
        (r#""clientId":[1]"#, "clientId=[1]", &["clientId"]),
        (r#""timestamp":"now""#, r#"timestamp="now""#, &["timestamp"]),
        (r#""encoding":{"a":1}"#, r#"encoding={"a":1}"#, &["encoding"]),
        (r#""annotations":[]"#, "annotations=[]", &["annotations"]),
        (
            r#""annotations":{"summary":"x"}"#,
            r#"annotations.summary="x""#,
            &["annotations.summary"],
        ),
        (r#""summary":true"#, "summary=true", &["summary"]),
        (r#""name":7"#, "name=\"chat.message\" name#2=7", &["name"]),
        (r#""clientId":"a","clientId":"b""#, r#"clientId="a""#, &["clientId"]),
        // Unknown members are kept as well, and are nothing to warn of.
        (r#""extras":{"ref":{"a":[1.0]}}"#, r#"extras.ref={"a":[1.0]}"#, &[]),
        (r#""version":{"pinned":true,"null":null}"#, "version.pinned=true", &[]),
        (r#""\ud800":{},"id":"x:0","connectionId":"x""#, r"\ud800={}", &[]),
    ] {
        let entry = entry_of(&format!(r#"{members},"data":{{"text":"t"}}"#));
        assert_eq!(entry.odd, odd, "{members}");
        let message = version_of(entry.verdict);
        assert_eq!((message.text.as_str(), message.serial.as_str()), ("t", "s1"), "{members}");
        assert_eq!(aside(&message), kept, "{members}");
    }
}

/// Ably sends binary in `data` alone. Elsewhere it is no text, though its base64 would be; an
/// extension type is nothing that any member has.
#[test]
fn regression_messagepack_took_binary_for_a_text_and_refused_extension_types() {
    let text =
        |text: &str| [&[0xa0 + u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let member = |name: &str, value: &[u8]| [&text(name), value].concat();
    let bytes = [0xc4, 2, 0xde, 0xad];
    let message = [
        vec![0x86],
        member("name", &text("chat.message")),
        member("serial", &text("s1")),
        member("clientId", &bytes),
        member("timestamp", &[0xd6, 0xff, 0, 0, 0, 1]),
        member("unknown", &[0xa2, 0xff, 0xfe]),
        member("data", &bytes),
    ];
    let envelope = [
        vec![0x82],
        member("channel", &text("r::$chat")),
        member("messages", &[vec![0x91], message.concat()].concat()),
    ];
    let entry = Decoder::default().decode(&envelope.concat()).expect("an envelope").remove(0);
    assert_eq!(entry.odd, ["timestamp", "clientId"]);
    let message = version_of(entry.verdict);
    let kept = [
        r#"clientId={"base64":"3q0="}"#,
        r#"timestamp=[-1,{"base64":"AAAAAQ=="}]"#,
        r#"unknown={"base64":"//4="}"#,
    ];
    assert_eq!(aside(&message), kept.join(" "));
    assert_eq!(message.raw.expect("binary").data, Data::Bytes(vec![0xde, 0xad]));
}
