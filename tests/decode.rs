//! Decode tables: the mapping, its defaults, the skip rules and the encoding chain, on values.

use ably_chat_exporter::ably::{CipherKey, Decoder, Entry, Outcome, Skip};
use ably_chat_exporter::chat::{ChatEvent, ChatMessage, Data};
use serde_json::{Value, json};

fn decode_in(channel: &str, message: &Value, key: Option<&str>) -> Entry {
    let cipher_key = key.map(|key| CipherKey::from_base64(key).expect("a key"));
    let body = json!({"channel": channel, "messages": [message]}).to_string();
    let entries = Decoder { app_id: None, cipher_key }.decode(body.as_bytes());
    entries.expect("a readable payload").remove(0)
}

fn outcome(message: &Value) -> Outcome {
    decode_in("r::$chat", message, None).outcome
}

fn version_of(outcome: Outcome) -> ChatMessage {
    match outcome {
        Outcome::Event(ChatEvent::Version(message, _)) => *message,
        other => panic!("{other:?}"),
    }
}

fn chat(members: &Value) -> Value {
    let mut message = json!({"name": "chat.message", "serial": "s1", "timestamp": 7});
    for (name, value) in members.as_object().expect("an object") {
        message[name] = value.clone();
    }
    message
}

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

#[test]
fn skip_rules() {
    let skip = |channel: &str, message: Value| match decode_in(channel, &message, None).outcome {
        Outcome::Skip(skip) => Some(skip),
        Outcome::Event(_) | Outcome::Fail(_) => None,
    };
    let create = || chat(&json!({}));
    for (channel, message, expected) in [
        ("r::$chat", create(), None),
        ("r", create(), Some(Skip::OtherChannel)),
        ("[meta]log", create(), Some(Skip::Metachannel)),
        ("r::$chat::$chatMessages", create(), Some(Skip::LegacyRoom)),
        ("r::$chat", chat(&json!({"extras": {"ephemeral": true}})), Some(Skip::Ephemeral)),
        ("r::$chat", chat(&json!({"extras": {"ephemeral": false}})), None),
        ("r::$chat", chat(&json!({"name": "roomReaction"})), Some(Skip::OtherName)),
        ("r::$chat", chat(&json!({"name": null})), Some(Skip::OtherName)),
        ("r::$chat", chat(&json!({"action": 3})), Some(Skip::Meta)),
        ("r::$chat", chat(&json!({"action": "meta", "name": "[meta]occupancy"})), Some(Skip::Meta)),
        ("r::$chat", chat(&json!({"action": 4, "name": null})), None),
        // An append changes a message whatever it is called: it fails, it does not vanish.
        ("r::$chat", chat(&json!({"action": 5, "name": null})), None),
        ("r::$chat", chat(&json!({"action": 9, "name": "other"})), Some(Skip::OtherName)),
    ] {
        assert_eq!(skip(channel, message.clone()), expected, "{channel} {message}");
    }
}

#[test]
fn events_without_messages_are_told_by_what_they_hold() {
    let skips = |body: Value| {
        let entries = Decoder::default().decode(body.to_string().as_bytes());
        let entries = entries.expect("a readable payload");
        let skips = entries.into_iter().map(|entry| match entry.outcome {
            Outcome::Skip(skip) => skip,
            other => panic!("{other:?}"),
        });
        skips.collect::<Vec<_>>()
    };
    // Ably's own example of a presence event calls itself channel.message.
    let presence = json!({"source": "channel.message", "channel": "r::$chat", "presence": [{}]});
    assert_eq!(skips(presence), [Skip::Presence]);
    assert_eq!(skips(json!({"source": "channel.lifecycle", "name": "x"})), [Skip::Lifecycle]);
    assert_eq!(skips(json!({"source": "channel.occupancy"})), [Skip::Occupancy]);
    let item = |source: &str| json!({"source": source, "data": {"channelId": "r::$chat"}});
    let items = json!({"items": [item("channel.lifecycle"), item("channel.occupancy")]});
    assert_eq!(skips(items), [Skip::Lifecycle, Skip::Occupancy]);
    assert_eq!(skips(json!({"items": []})), []);
}

#[test]
fn summaries_are_read_from_either_place_and_only_on_action_4_does_absence_mean_none() {
    let summary = json!({"reaction:distinct.v1": {"a": {"total": 2}}});
    for message in [
        chat(&json!({"action": 4, "annotations": {"summary": summary}})),
        chat(&json!({"action": 4, "summary": summary})),
        chat(&json!({"action": 4, "annotations": {}, "summary": summary})),
    ] {
        let Outcome::Event(ChatEvent::Reactions(found)) = outcome(&message) else {
            panic!("{message}");
        };
        assert_eq!(found.summary.reactions.distinct["a"].total, 2);
    }
    let Outcome::Event(ChatEvent::Reactions(none)) = outcome(&chat(&json!({"action": 4}))) else {
        panic!("a summary");
    };
    assert_eq!(none.summary, ably_chat_exporter::chat::Summary::default());
    let Outcome::Event(ChatEvent::Version(_, riding)) = outcome(&chat(&json!({}))) else {
        panic!("a version");
    };
    assert_eq!(riding, None);
    let riding = chat(&json!({"action": 1, "annotations": {"summary": summary}}));
    assert!(matches!(outcome(&riding), Outcome::Event(ChatEvent::Version(_, Some(_)))));
}

/// Ably's own vectors (ably-common test-resources) and one made with openssl for 256 bits.
#[test]
fn encrypted_payloads() {
    let key_128 = "WUP6u0K7MXI5Zeo0VppPwg==";
    let key_256 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let json_128 = "HO4cYSP8LybPYBPZPHQOtuD53yrD3YV3NBoTEYBh4U0N1QXHbtkfsDfTspKeLQFt";
    let text_128 =
        "HO4cYSP8LybPYBPZPHQOtmHItcxYdSvcNUC6kXVpMn0VFL+9z2/5tJ6WFbR0SBT1xhFRuJ+MeBGTU3yOY9P5ow==";
    let json_256 = "Dw4NDAsKCQgHBgUEAwIBAAkAOKI/pX/hYQJlsehjwz5AS6Hpu5cPr544dm/TshNU";
    let decode = |data: &str, encoding: &str, key| {
        let message = chat(&json!({"data": data, "encoding": encoding}));
        version_of(decode_in("r::$chat", &message, Some(key)).outcome)
    };
    let raw = decode(json_128, "json/utf-8/cipher+aes-128-cbc/base64", key_128).raw.expect("raw");
    assert_eq!(raw.data, Data::Text(r#"{"example":{"json":"Object"}}"#.into()));
    assert_eq!(raw.encoding.as_deref(), Some("json"));
    let raw = decode(text_128, "utf-8/cipher+aes-128-cbc/base64", key_128).raw.expect("raw");
    assert_eq!(raw.data, Data::Text("The quick brown fox jumped over the lazy dog".into()));
    assert_eq!(raw.encoding, None);
    let message = decode(json_256, "json/utf-8/cipher+aes-256-cbc/base64", key_256);
    assert_eq!((message.text.as_str(), message.raw), ("256 bits", None));
    // The wrong key, the wrong algorithm, a truncated text: kept, and said what is left to do.
    for (data, encoding, key) in [
        (json_128, "utf-8/cipher+aes-128-cbc/base64", "AAAAAAAAAAAAAAAAAAAAAA=="),
        (json_128, "utf-8/cipher+aes-256-cbc/base64", key_128),
        (json_128, "utf-8/cipher+aes-128-cbc/base64", key_256),
        ("HO4cYSP8", "utf-8/cipher+aes-128-cbc/base64", key_128),
        ("HO4cYSP8LybPYBPZPHQOtg==", "utf-8/cipher+aes-128-cbc/base64", key_128),
    ] {
        let raw = decode(data, encoding, key).raw.expect("raw");
        assert_eq!(raw.encoding.as_deref(), encoding.strip_suffix("/base64"), "{data}");
        assert!(matches!(raw.data, Data::Bytes(_)));
    }
}

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

/// Serde reads a struct from an array, member by member; Ably sends none.
#[test]
fn regression_an_array_is_not_an_object() {
    for message in [
        json!(["chat.message", "ana", 7, "s1"]),
        chat(&json!({"version": ["s2"]})),
        chat(&json!({"extras": [{}, true]})),
        chat(&json!({"annotations": [{}]})),
    ] {
        assert!(matches!(outcome(&message), Outcome::Fail(_)), "{message}");
    }
    let odd = json!({"reaction:distinct.v1": {"a": [2, null, ["x"]]}});
    let summary = chat(&json!({"action": 4, "annotations": {"summary": odd}}));
    let Outcome::Event(ChatEvent::Reactions(found)) = outcome(&summary) else {
        panic!("a summary");
    };
    assert!(found.summary.reactions.distinct.is_empty());
    assert!(found.summary.annotations.contains_key("reaction:distinct.v1"));
}
