//! Members that no field holds are kept aside.

use ably_chat_exporter::chat::{JsonText, RoomName, Serial};
use ably_chat_exporter::ingest::Report;
use ably_chat_exporter::store::{Settings, StoredMessage, differences};
use testkit::Engine;

use crate::common::{self, send};
use crate::payload::{payload, read};

/// The members that a message keeps aside, as the rows have them, and as a reader gets them.
async fn kept_aside(members: &str, settings: Settings) -> (Vec<String>, StoredMessage, Report) {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, settings);
    let report = send(&ingest, "d", payload(members).as_bytes()).await;
    assert_eq!((report.stored, report.failed.len()), (1, 0), "{members:.200}");
    let rows = engine.rows().await;
    let aside = |row: &testkit::Item| {
        let text = row.get("asideJson").map(|it| it.as_s().expect("text").clone());
        text.unwrap_or_else(|| format!("{:?}", row.get("aside")))
    };
    (rows.iter().map(aside).collect(), read(&ingest.store, "1").await, report)
}

#[tokio::test]
async fn regression_members_that_no_field_holds_were_refused_or_dropped() {
    let members = r#""data":{"text":"t"},"clientId":"half \ud83d",
        "extras":{"headers":["x"],"new":1.0},
        "version":{"metadata":"m","pinned":true},"annotations":7"#;
    let (rows, found, report) = kept_aside(members, Settings::default()).await;
    assert_eq!(report.odd.len(), 1);
    let (room, serial, odd) = &report.odd[0];
    assert_eq!((room, serial), (&Some(RoomName("r".into())), &Some(Serial("1".into()))));
    assert_eq!(odd[..], ["annotations", "headers", "clientId", "version.metadata"]);
    let kept = [
        r#"{"annotations":7,"clientId":"half \ud83d","extras.new":1.0,"headers":["x"]"#,
        r#""version.metadata":"m","version.pinned":true}"#,
    ];
    let kept = kept.join(",");
    assert_eq!(rows, [kept.as_str(), &kept]);
    assert_eq!((found.message.text.as_str(), found.message.client_id.as_str()), ("t", ""));
    let shown = serde_json::to_string(&found).expect("JSON");
    assert!(shown.contains(&format!(r#""aside":{kept}"#)), "{shown}");

    let members = r#""data":{"text":"t"},"version":{"pinned":{"by":"ana"}}"#;
    let (rows, found, report) = kept_aside(members, Settings::default()).await;
    assert!(report.odd.is_empty(), "an unknown member is nothing to warn of");
    assert!(rows.iter().all(|row| row.contains("version.pinned")), "natively: {rows:?}");
    assert_eq!(found.message.aside["version.pinned"].as_str(), r#"{"by":"ana"}"#);

    let (_, found, _) = kept_aside(r#""data":{"text":"t"}"#, Settings::default()).await;
    let shown = serde_json::to_string(&found).expect("JSON");
    assert!(!shown.contains("aside"), "receipts are over this JSON: {shown}");
}

/// Else every look would find a difference that no repair removes.
#[tokio::test]
async fn what_a_row_could_not_keep_aside_is_no_difference() {
    let (_, found, _) = kept_aside(r#""unknown":1,"userClaim":2"#, Settings::default()).await;
    let one = found.message;
    let with = |name: &str, json: &str| {
        let mut other = one.clone();
        other.aside.insert(name.into(), JsonText::parse(json.into()).expect("JSON"));
        differences(&one, &other)
    };
    assert_eq!(with("version.new", "3"), [""; 0], "what one form does not have");
    assert_eq!(with("unknown", "null"), [""; 0], "what had no room, or may name clients");
    assert_eq!(with("unknown", "2"), [""; 0]);
    let (_, mut found, _) = kept_aside(r#""extras":{"new":1}"#, Settings::default()).await;
    let one = found.message.clone();
    found.message.aside.insert("extras.new".into(), JsonText::parse("1.0".into()).expect("JSON"));
    assert_eq!(differences(&one, &found.message), [""; 0], "the same number");
    found.message.aside.insert("extras.new".into(), JsonText::parse("2".into()).expect("JSON"));
    assert_eq!(differences(&one, &found.message), ["aside"]);
}

#[tokio::test]
async fn what_is_kept_aside_goes_with_the_content_of_a_deletion() {
    let members =
        r#""action":2,"version":{"serial":"2","why":"spam"},"extras":{"headers":"x","more":"y"}"#;
    let (_, found, _) = kept_aside(members, Settings::default()).await;
    assert_eq!(found.message.aside.keys().collect::<Vec<_>>(), ["version.why"]);
}

#[tokio::test]
async fn what_is_kept_aside_never_keeps_a_message_out() {
    let text = "x".repeat(200_000);
    for member in ["annotations", "unknown"] {
        let members = format!(r#""data":{{"text":"{text}"}},"{member}":["{text}{text}"]"#);
        let (rows, found, _) = kept_aside(&members, Settings::default()).await;
        assert_eq!(rows[0], format!(r#"{{"{member}":null}}"#), "its name is left");
        assert_eq!(found.message.text.len(), 200_000);
    }
    let name = "n".repeat(70_000);
    let members = format!(r#""data":{{"text":"t"}},"version":{{"{name}":1}}"#);
    let (_, found, _) = kept_aside(&members, Settings::default()).await;
    assert_eq!(found.message.aside.len(), 1, "a name that no attribute can have");
}
