//! Every file of `events/` decodes to what its name says.

use std::path::PathBuf;

use ably_chat_exporter::ably::{CipherKey, Decoder, Entry, PayloadError, Skip, Verdict};
use ably_chat_exporter::chat::{Action, ChatEvent, ChatMessage, Data, RawData, SummaryOf};

/// The key of `events/encrypted.json`, from Ably's own test fixtures.
const KEY: &str = "WUP6u0K7MXI5Zeo0VppPwg==";

fn decode(event: &str) -> Result<Vec<Entry>, PayloadError> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("events/{event}.json"));
    let body = std::fs::read(path).expect("the event file exists");
    let cipher_key = Some(CipherKey::from_base64(KEY).expect("the fixture's key is a key"));
    Decoder { app_id: Some("aB3dEf".into()), cipher_key }.decode(&body)
}

fn outcomes(event: &str) -> Vec<Verdict> {
    decode(event).expect("the payload is readable").into_iter().map(|e| e.verdict).collect()
}

fn message(event: &str) -> ChatMessage {
    match outcomes(event).pop() {
        Some(Verdict::Event(ChatEvent::Version(message, None))) => *message,
        other => panic!("{event}: {other:?}"),
    }
}

fn summary(event: &str) -> SummaryOf {
    match outcomes(event).pop() {
        Some(Verdict::Event(ChatEvent::Reactions(summary))) => summary,
        other => panic!("{event}: {other:?}"),
    }
}

fn failure(event: &str) -> String {
    match outcomes(event).pop() {
        Some(Verdict::Fail(error)) => error.to_string(),
        other => panic!("{event}: {other:?}"),
    }
}

#[test]
fn create_holds_every_field() {
    let message = message("create");
    assert_eq!(message.room.0, "support:42");
    assert_eq!(message.serial.as_str(), "01767225600000-000@aBcDeFgHi12345678:000");
    assert_eq!(message.client_id, "ana");
    assert_eq!(message.text, "Hello, my order has not arrived.");
    assert_eq!(message.metadata.as_str(), r#"{"orderId":4711,"tags":["delivery"]}"#);
    assert!(message.headers.as_str().contains("\"lang\": \"en\""));
    assert_eq!(message.user_claim.as_deref(), Some("customer"));
    assert_eq!(message.action, Action::Create);
    assert_eq!(message.timestamp, 1_767_225_600_000);
    assert_eq!(message.version.serial, message.serial);
    assert_eq!(message.version.timestamp, message.timestamp);
    assert_eq!(message.raw, None);
}

#[test]
fn create_without_version_takes_its_serial_and_time() {
    let message = message("create-without-version");
    assert_eq!(message.text, "Let me look into it.");
    assert_eq!(message.version.serial, message.serial);
    assert_eq!(message.version.timestamp, message.timestamp);
}

#[test]
fn update_keeps_author_and_time_and_says_who_changed_it() {
    let message = message("update");
    assert_eq!(message.action, Action::Update);
    assert_eq!((message.client_id.as_str(), message.timestamp), ("ana", 1_767_225_600_000));
    assert_eq!(message.version.serial.as_str(), "01767225620000-000@aBcDeFgHi12345678:000");
    assert_eq!(message.version.timestamp, 1_767_225_620_000);
    assert_eq!(message.version.client_id.as_deref(), Some("ana"));
    assert_eq!(message.version.description.as_deref(), Some("added the number"));
    assert!(message.version.metadata.expect("metadata").as_str().contains("clarity"));
}

#[test]
fn deletes_keep_what_arrived_and_show_nothing_of_it() {
    let blank = message("delete");
    assert_eq!((blank.action, blank.text.as_str()), (Action::Delete, ""));
    assert_eq!(blank.client_id, "spam-bot");
    assert_eq!(blank.version.client_id.as_deref(), Some("moderator"));
    let full = message("delete-with-text");
    assert_eq!((full.action, full.text.as_str()), (Action::Delete, "Buy my coins!"));
    let shown = full.redacted();
    assert_eq!(shown.text, "");
    assert_eq!((shown.metadata.as_str(), shown.headers.as_str()), ("{}", "{}"));
}

#[test]
fn summaries_of_each_type() {
    let unique = summary("summary-unique").summary.reactions.unique;
    assert_eq!(unique["👍"].client_ids, ["ana", "cleo"]);
    assert_eq!((unique["👍"].total, unique["👍"].clipped), (2, false));

    let distinct = summary("summary-distinct");
    assert_eq!(distinct.version.as_str(), "01767225620000-000@aBcDeFgHi12345678:000");
    assert_eq!(distinct.summary.reactions.distinct["eyes"].total, 2);

    let multiple = summary("summary-multiple").summary.reactions.multiple;
    assert_eq!(multiple["🔥"].client_ids["ana"], 7);
    assert_eq!(multiple["🔥"].total_unidentified, 2);

    let clipped = summary("summary-clipped").summary;
    assert!(clipped.reactions.distinct["🎉"].clipped);
    assert_eq!(clipped.reactions.distinct["🎉"].total, 25_000);
    assert!(clipped.annotations["poll:flag.v1"].as_str().contains("cleo"));
}

#[test]
fn batch_holds_messages_of_two_rooms_and_a_presence_event() {
    let entries = decode("batch").expect("the batch is readable");
    let rooms: Vec<_> = entries.iter().map(|e| e.room.as_ref().map(|room| &*room.0)).collect();
    assert_eq!(rooms, [Some("support:42"), None, Some("lobby")]);
    assert!(matches!(entries[1].verdict, Verdict::Skip(Skip::Presence)));
    assert_eq!(entries[0].delivery.as_deref(), Some("a7bcQefGh123:4"));
}

#[test]
fn encrypted_is_decrypted_and_kept_when_the_key_is_missing() {
    let message = message("encrypted");
    assert_eq!(message.text, "My card ends in 4242.");
    assert_eq!(message.metadata.as_str(), r#"{"secret":true}"#);

    let body = include_bytes!("../../events/encrypted.json");
    let entries = Decoder::default().decode(body).expect("the payload is readable");
    let Verdict::Event(ChatEvent::Version(message, None)) = &entries[0].verdict else {
        panic!("{entries:?}");
    };
    assert_eq!(message.text, "");
    let raw = message.raw.as_ref().expect("the payload is kept");
    assert_eq!(raw.encoding.as_deref(), Some("json/utf-8/cipher+aes-128-cbc"));
    assert!(matches!(&raw.data, Data::Bytes(bytes) if bytes.len() % 16 == 0));
}

#[test]
fn base64_is_kept_as_bytes() {
    let raw = RawData { data: Data::Bytes(vec![0xde, 0xad, 0xbe, 0xef]), encoding: None };
    assert_eq!(message("base64").raw, Some(raw));
}

#[test]
fn typing_and_presence_are_skipped() {
    assert!(matches!(outcomes("typing")[..], [Verdict::Skip(Skip::Ephemeral)]));
    let presence = outcomes("presence");
    assert_eq!(presence.len(), 2);
    assert!(presence.iter().all(|one| matches!(one, Verdict::Skip(Skip::Presence))));
}

#[test]
fn wrong_rules_are_told_what_to_change() {
    let not_enveloped = decode("not-enveloped").expect_err("no envelope").to_string();
    assert!(not_enveloped.contains("turn on \"Enveloped\""), "{not_enveloped}");
    let before_publish = decode("before-publish").expect_err("no message").to_string();
    assert!(before_publish.contains("before-publish"), "{before_publish}");
}

#[test]
fn what_cannot_be_a_version_fails() {
    assert_eq!(failure("unknown-action"), "$.messages[0].action: unknown action 9");
    assert!(failure("append").starts_with("$.messages[0].action: message.append"));
}

#[test]
fn members_that_no_field_holds_are_kept_aside() {
    let message = message("odd-members");
    assert_eq!(message.text, "Members of other types than documented, and new ones.");
    assert_eq!(
        (message.timestamp, message.version.timestamp),
        (1_767_225_667_000, 1_767_225_667_000)
    );
    let raw =
        RawData { data: Data::Text(r#"{"new":1}"#.into()), encoding: Some("utf-8/json".into()) };
    assert_eq!((message.headers.as_str(), message.raw), ("{}", Some(raw)));
    let names: Vec<_> = message.aside.keys().map(String::as_str).collect();
    let expected = ["annotations", "extras.ref", "headers", "userClaim", "version.pinned"];
    assert_eq!(names, [&expected[..], &["version.timestamp"]].concat());
}

#[test]
fn hostile_metadata_is_not_touched() {
    let message = message("hostile-metadata");
    assert_eq!(message.text, "Robert'); DROP TABLE chat;--");
    let metadata = message.metadata.as_str();
    for part in [r#""":"an empty name""#, "1e300", r"\ud83d", r"a\u0000b", "__proto__"] {
        assert!(metadata.contains(part), "{part} in {metadata}");
    }
}
