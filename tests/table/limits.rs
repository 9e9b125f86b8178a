//! Large messages and payloads: stored whole, or refused with a reason.

use ably_chat_exporter::store::{Direction, Settings};
use serde_json::json;
use testkit::Engine;

use crate::common::{self, reading, send};

#[tokio::test]
async fn what_passes_400_kb_in_any_form_is_refused_whole() {
    let room = "r".repeat(2_048);
    let sizes = [399_000_usize, 409_000, 409_300, 409_400, 409_500, 409_600, 450_000, 6_000_000];
    let (mut stored, mut refused) = (0, 0);
    for size in sizes {
        let engine = Engine::start().await;
        let ingest = common::ingest(&engine, Settings::default());
        let text = "x".repeat(size);
        let body = json!({"channel": format!("{room}::$chat"), "messages": [
            {"name": "chat.message", "serial": "1", "data": {"text": text}},
            {"name": "chat.message", "serial": "2", "data": {"text": "a neighbour"}},
        ]});
        let report = send(&ingest, "d", body.to_string().as_bytes()).await;
        let rows = engine.rows().await.len();
        match &report.failed[..] {
            [] => assert_eq!((report.stored, rows), (2, 4), "{size}"),
            [failure] => {
                assert!(failure.reason.contains("DynamoDB takes 409600"), "{}", failure.reason);
                assert_eq!((report.stored, rows), (1, 2), "never half of a message: {size}");
            }
            more => panic!("{more:?}"),
        }
        stored += usize::from(report.failed.is_empty());
        refused += report.failed.len();
    }
    assert!(stored > 0 && refused > 0, "the limit lies between these sizes");
}

#[tokio::test]
async fn a_thousand_messages_and_six_megabytes_in_one_payload() {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let text = "x".repeat(6_000);
    let messages: Vec<_> = (0..1_000)
        .map(|n| format!("{n:04}"))
        .map(|serial| json!({"name": "chat.message", "serial": serial, "data": {"text": text}}))
        .collect();
    let body = json!({"channel": "r::$chat", "messages": messages}).to_string();
    assert!(body.len() > 6_000_000);
    let report = send(&ingest, "d", body.as_bytes()).await;
    assert_eq!((report.received, report.stored, report.failed.len()), (1_000, 1_000, 0));
    let room = reading::whole_room(&ingest.store, "r", Direction::OldestFirst, 300).await;
    assert_eq!(room.len(), 1_000);
}
