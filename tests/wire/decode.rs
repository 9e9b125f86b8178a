//! Decode tables: the mapping, its defaults, the skip rules and the encoding chain, on values.

use ably_chat_exporter::ably::{Body, CipherKey, Decoder, Entry, Outcome, Skip};
use ably_chat_exporter::chat::{ChatEvent, ChatMessage, Data, Serial};
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
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
    let list = json!(["chat.message", "ana", 7, "s1"]);
    assert!(matches!(outcome(&list), Outcome::Fail(_)));
    for (member, array) in
        [("version", json!(["s2"])), ("extras", json!([{}, true])), ("annotations", json!([{}]))]
    {
        let Outcome::Event(ChatEvent::Version(message, None)) =
            outcome(&chat(&json!({member: array})))
        else {
            panic!("{member}");
        };
        assert_eq!(message.version.serial.as_str(), "s1", "{member}");
        assert_eq!(message.aside[member].as_str(), array.to_string());
    }
    let odd = json!({"reaction:distinct.v1": {"a": [2, null, ["x"]]}});
    let summary = chat(&json!({"action": 4, "annotations": {"summary": odd}}));
    let Outcome::Event(ChatEvent::Reactions(found)) = outcome(&summary) else {
        panic!("a summary");
    };
    assert!(found.summary.reactions.distinct.is_empty());
    assert!(found.summary.annotations.contains_key("reaction:distinct.v1"));
}

/// Decodes messages given as JSON text, for what no `Value` can hold.
fn entries_of(messages: &str) -> Vec<Entry> {
    let body = format!(r#"{{"channel":"r::$chat","messages":[{messages}]}}"#);
    Decoder::default().decode(body.as_bytes()).expect("a readable payload")
}

fn entry_of(members: &str) -> Entry {
    let message = format!(r#"{{"name":"chat.message","serial":"s1",{members}}}"#);
    entries_of(&message).remove(0)
}

/// What a message keeps aside, as `name=JSON`.
fn aside(message: &ChatMessage) -> String {
    let kept = message.aside.iter().map(|(name, json)| format!("{name}={}", json.as_str()));
    kept.collect::<Vec<_>>().join(" ")
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
        let message = version_of(entry.outcome);
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
    let message = version_of(entry.outcome);
    let kept = [
        r#"clientId={"base64":"3q0="}"#,
        r#"timestamp=[-1,{"base64":"AAAAAQ=="}]"#,
        r#"unknown={"base64":"//4="}"#,
    ];
    assert_eq!(aside(&message), kept.join(" "));
    assert_eq!(message.raw.expect("binary").data, Data::Bytes(vec![0xde, 0xad]));
}

/// It would be taken for the first version, and be superseded by it in silence.
#[test]
fn an_edit_that_does_not_say_which_version_it_is_fails() {
    for version in ["7", r#"{"serial":7}"#, r#""\ud800""#] {
        let entry = entry_of(&format!(r#""action":1,"version":{version}"#));
        assert_eq!(entry.serial.expect("its name").as_str(), "s1");
        let Outcome::Fail(error) = entry.outcome else { panic!("{version}") };
        assert!(error.to_string().starts_with("$.messages[0].version"), "{error}");
    }
}

#[test]
fn regression_whole_numbers_in_another_spelling_were_refused() {
    let message = version_of(
        entry_of(r#""action":1.0,"timestamp":1.767e12,"version":{"serial":"s2","timestamp":9.0}"#)
            .outcome,
    );
    assert_eq!((message.timestamp, message.version.timestamp), (1_767_000_000_000, 9));
    assert_eq!(message.action.as_str(), "message.update");
    let summary = r#"{"reaction:distinct.v1":{"a":{"total":2.0}},
        "reaction:multiple.v1":{"b":{"total":0.3e1,"clientIds":{"ana":3.0}}}}"#;
    let outcome =
        entry_of(&format!(r#""action":4e0,"annotations":{{"summary":{summary}}}"#)).outcome;
    let Outcome::Event(ChatEvent::Reactions(found)) = outcome else { panic!("a summary") };
    assert_eq!(found.summary.reactions.distinct["a"].total, 2);
    assert_eq!(found.summary.reactions.multiple["b"].client_ids["ana"], 3);
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
            let message = version_of(entry_of(&members).outcome);
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
        let message = version_of(entry_of(members).outcome);
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

#[test]
fn regression_an_empty_ride_was_a_summary() {
    for members in [
        r#""annotations":{"summary":{}}"#,
        r#""annotations":{"summary":{"reaction:unique.v1":{},"poll:flag.v1":{ }}}"#,
        r#""summary":{}"#,
    ] {
        let outcome = entry_of(members).outcome;
        assert!(matches!(outcome, Outcome::Event(ChatEvent::Version(_, None))), "{members}");
    }
    let outcome = entry_of(r#""action":4,"annotations":{"summary":{}}"#).outcome;
    assert!(matches!(outcome, Outcome::Event(ChatEvent::Reactions(_))), "an event still clears");
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
        let Outcome::Fail(error) = entry.outcome else { panic!("{members}") };
        assert!(error.to_string().starts_with(path), "{error}");
    }
    let body =
        format!(r#"{{"items":[{{"serial":7,"data":{{"channelId":[],"messages":[{message}]}}}}]}}"#);
    let entry = Decoder::default().decode(body.as_bytes()).expect("entries").remove(0);
    assert_eq!((entry.serial.expect("its name").as_str(), entry.item), ("s1", Some(0)));
}

/// A message whose `data` is what a 128-bit key made of `plain`.
fn sealed(plain: &[u8], rest: &str, key: [u8; 16]) -> (Value, Vec<u8>, String) {
    let iv = [7; 16];
    let encryptor = cbc::Encryptor::<aes::Aes128>::new(&key.into(), &iv.into());
    let sealed = [&iv[..], &encryptor.encrypt_padded_vec::<Pkcs7>(plain)].concat();
    let encoding = format!("{rest}cipher+aes-128-cbc");
    let data = BASE64_STANDARD.encode(&sealed);
    let message = chat(&json!({"data": data, "encoding": format!("{encoding}/base64")}));
    (message, sealed, encoding)
}

fn with_key(message: &Value, key: [u8; 16]) -> ChatMessage {
    version_of(decode_in("r::$chat", message, Some(&BASE64_STANDARD.encode(key))).outcome)
}

/// A padding that is right by chance: what comes out is noise.
#[test]
fn regression_a_wrong_key_destroyed_one_ciphertext_in_256() {
    let noise = [0xde, 0xad, 0xbe, 0xef];
    for rest in ["json/utf-8/", "utf-8/", "json/", ""] {
        let (message, ciphertext, encoding) = sealed(&noise, rest, [1; 16]);
        let raw = with_key(&message, [1; 16]).raw.expect("the ciphertext");
        assert_eq!((raw.data, raw.encoding), (Data::Bytes(ciphertext), Some(encoding)), "{rest}");
    }
    let (message, ciphertext, encoding) = sealed(b"no JSON", "json/utf-8/", [1; 16]);
    let raw = with_key(&message, [1; 16]).raw.expect("the ciphertext");
    assert_eq!((raw.data, raw.encoding), (Data::Bytes(ciphertext), Some(encoding)));
}

#[test]
fn regression_a_cipher_key_in_url_safe_base64_was_refused() {
    let key = [0xfb; 16];
    let standard = BASE64_STANDARD.encode(key);
    let url_safe = standard.replace('+', "-").replace('/', "_");
    assert!(standard.contains('+') && standard.contains('/'), "{standard}");
    assert_eq!(CipherKey::from_base64(&url_safe), CipherKey::from_base64(&standard));
    let unpadded = url_safe.trim_end_matches('=');
    assert_eq!(CipherKey::from_base64(unpadded), CipherKey::from_base64(&standard));
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
    assert!(matches!(last.outcome, Outcome::Fail(_)));
}

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
        let Outcome::Event(ChatEvent::Version(message, _)) = entry.outcome else {
            panic!("{message_json}: {:?}", entry.outcome);
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
        let twin = version_of(twin.outcome);
        prop_assert_eq!(comparable(&twin), comparable(&message), "{}", message_json);
    }

    #[test]
    fn a_key_changes_nothing_of_a_ciphertext_that_it_does_not_decode(
        plain in proptest::collection::vec(any::<u8>(), 0..40),
        text in any::<String>(),
        (made, tried) in any::<([u8; 16], [u8; 16])>(),
        rest in proptest::sample::select(&["json/utf-8/", "utf-8/", "json/", "", "rot13/"][..]),
    ) {
        for key in [made, tried] {
            // Whatever the bytes, their padding is right; and bytes that are no ciphertext of this
            // key's.
            let (message, ciphertext, encoding) = sealed(&plain, rest, made);
            let message = with_key(&message, key);
            if let Some(raw) = &message.raw && raw.encoding.as_deref() == Some(&encoding) {
                prop_assert_eq!(&raw.data, &Data::Bytes(ciphertext));
            } else {
                let ends_well = rest.contains("utf-8") || rest.contains("json");
                prop_assert!(ends_well && str::from_utf8(&plain).is_ok());
            }
        }
        let payload = json!({"text": text}).to_string();
        let (message, ..) = sealed(payload.as_bytes(), "json/utf-8/", made);
        prop_assert_eq!(with_key(&message, made).text, text);
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
