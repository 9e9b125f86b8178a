//! Direct invocations: a report, or an error that names the path.

use serde_json::{Value, json};
use testkit::{Answer, Engine};

use crate::common::function::{error, run, sample};

#[tokio::test]
async fn a_good_event_is_answered_with_a_report() {
    let engine = Engine::start().await;
    let bodies = [sample("create"), sample("create"), sample("presence"), sample("batch")];
    let (answers, _) = run(&engine, &[], &bodies).await;
    let report = |stored: u64, superseded: u64, skipped: Value| {
        let skips: u64 =
            skipped.as_object().expect("an object").values().flat_map(Value::as_u64).sum();
        Answer::Response(json!({"received": stored + superseded + skips, "stored": stored,
                                "superseded": superseded, "skipped": skipped, "failed": []}))
    };
    assert_eq!(answers[0], report(1, 0, json!({})));
    assert_eq!(answers[1], report(0, 1, json!({})));
    assert_eq!(answers[2], report(0, 0, json!({"presence": 2})));
    assert_eq!(answers[3], report(2, 0, json!({"presence": 1})));
}

#[tokio::test]
async fn a_payload_that_cannot_be_used_is_refused_by_path() {
    let engine = Engine::start().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let table: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "the event is not JSON"),
        (
            b"{\"messages\":".to_vec(),
            "the event is not JSON: EOF while parsing a value at line 1 column 12",
        ),
        (b"\xff\xfe".to_vec(), "the event is not JSON"),
        (deep.into_bytes(), "$: expected an enveloped Ably event (a JSON object), found an array"),
        (
            b"\"hello\"".to_vec(),
            "found a string; turn on \"Enveloped\" and set \"Encoding\" to JSON",
        ),
        (b"17".to_vec(), "found a number"),
        (b"null".to_vec(), "found null"),
        (b"{}".to_vec(), "$.messages: missing"),
        (sample("not-enveloped"), "turn on \"Enveloped\""),
        (sample("before-publish"), "before-publish"),
        (br#"{"messages":{}}"#.to_vec(), "$.messages: expected an array"),
        (br#"{"messages":[]}"#.to_vec(), "$.channel: missing"),
        (br#"{"channel":7,"messages":[]}"#.to_vec(), "$.channel: expected a string"),
        (
            br#"{"appId":"other","channel":"a::$chat","messages":[]}"#.to_vec(),
            "comes from the Ably app \"other\" and this table is for \"aB3dEf\"",
        ),
        (
            br#"{"channel":"::$chat","messages":[{"name":"chat.message","serial":"1"}]}"#.to_vec(),
            "$.messages[0]: the room name is empty",
        ),
        (
            br#"{"items":[7,{"data":{"messages":[{}]}}]}"#.to_vec(),
            "2 of 2 not stored; $.items[0]: expected",
        ),
    ];
    let bodies: Vec<_> = table.iter().map(|(body, _)| body.clone()).collect();
    let (answers, _) = run(&engine, &[("ABLY_APP_ID", "aB3dEf")], &bodies).await;
    for (answer, (body, reason)) in answers.iter().zip(&table) {
        let body = String::from_utf8_lossy(&body[..body.len().min(80)]);
        let (kind, message) = error(answer);
        assert_eq!(kind, "NonRetryable", "{body}");
        assert!(message.contains(reason), "{body}: {message}");
    }
    assert_eq!(engine.rows().await.len(), 0);
}

#[tokio::test]
async fn a_bad_message_is_refused_by_path_and_its_neighbours_are_stored() {
    let engine = Engine::start().await;
    let bad = json!([
        {"name": "chat.message", "data": {"text": "no serial"}},
        {"name": "chat.message", "serial": 7},
        {"name": "chat.message", "serial": "1-0", "action": 5},
        {"name": "chat.message", "serial": "1-0", "action": 77},
        {"name": "chat.message", "serial": "1-0", "action": 1, "version": ["x"]},
        {"name": "chat.message", "serial": "a#b"},
        "a string",
        {"name": "chat.message", "serial": "good", "data": {"text": "stored"}},
    ]);
    let body = json!({"channel": "r::$chat", "messages": bad});
    let (answers, log) = run(&engine, &[], &[body.to_string().into_bytes()]).await;
    let (kind, message) = error(&answers[0]);
    assert_eq!(kind, "NonRetryable");
    for part in [
        "7 of 8 not stored",
        "$.messages[0].serial: missing",
        "$.messages[1].serial: expected a string",
        "$.messages[2].action: message.append",
        "$.messages[3].action: unknown action 77",
        "serial \"1-0\": $.messages[4].version: does not say which version it is",
        "and 2 more",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(log.lines().filter(|line| line.contains("message not stored")).count(), 7);
    assert_eq!(engine.rows().await.len(), 2, "the good message's two rows");
}
