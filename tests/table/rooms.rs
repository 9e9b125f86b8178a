//! Names of rooms, and how long their rows live.

use ably_chat_exporter::store::{Direction, Settings};
use serde_json::json;
use testkit::Engine;

use crate::common::{self, reading, send};
use crate::payload::{payload, summary};

#[tokio::test]
async fn room_names_are_opaque() {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let names = [
        "a#b",
        "a",
        "a::b",
        "a/b",
        "a::$chat",
        "..",
        "%2F",
        "ü 🙂",
        "a#message#1",
        &"r".repeat(2_048),
    ];
    for name in names {
        let body = json!({"channel": format!("{name}::$chat"), "messages": [
            {"name": "chat.message", "serial": "1", "data": {"text": name}}]});
        assert_eq!(send(&ingest, "d", body.to_string().as_bytes()).await.stored, 1, "{name:.20}");
    }
    for name in names {
        let room = reading::whole_room(&ingest.store, name, Direction::NewestFirst, 5).await;
        assert_eq!(room.iter().map(|m| m.message.text.as_str()).collect::<Vec<_>>(), [name]);
    }
    let body = json!({"channel": format!("{}::$chat", "r".repeat(2_049)), "messages": [
        {"name": "chat.message", "serial": "1"}]});
    let report = send(&ingest, "d", body.to_string().as_bytes()).await;
    assert!(report.failed[0].reason.contains("room name has 2049 bytes"), "{report:?}");
}

#[tokio::test]
async fn retention_counts_from_creation_or_else_from_arrival() {
    let engine = Engine::start().await;
    let settings = Settings { retention_days: Some(2), ..Settings::default() };
    let ingest = common::ingest(&engine, settings);
    send(&ingest, "c", payload(r#""timestamp":86400999,"action":0"#).as_bytes()).await;
    send(&ingest, "d", payload(&summary(&json!({}))).as_bytes()).await;
    let two_days = 2 * 86_400;
    for row in engine.rows().await {
        let expires_at: i64 = row["expiresAt"].as_n().expect("a number").parse().expect("seconds");
        let is_summary = row["sk"].as_s().expect("a key").starts_with("reactions#");
        let created = if is_summary { common::EPOCH / 1_000 } else { 86_400 };
        assert_eq!(expires_at, created + two_days);
    }
}
