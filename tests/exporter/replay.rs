//! The failure queue, replayed: nothing goes round in circles or replaces what is newer.

use ably_chat_exporter::time;
use serde_json::{Value, json};
use testkit::{Answer, Engine, RuntimeApi, Services};

use crate::common::EPOCH;
use crate::common::function::{TIMEOUT, run, sample, spawn};
use crate::common::sources::{Source, TOKEN};
use crate::world::{World, bad, failures, good, reactions, redrive, total};

#[tokio::test]
async fn the_failure_queue_is_replayed_and_keeps_what_is_still_bad() {
    let world = World::start().await;
    // What an earlier version could not store and this one can: here, by the filter of the rule.
    let parked = json!({"parked": {"source": "kinesis", "recordId": "k", "receivedAt": EPOCH,
        "parkedAt": EPOCH, "errorType": "NonRetryable", "reason": "x", "functionVersion": "1"},
        "body": String::from_utf8(good("1")).unwrap()});
    let failed: Value =
        serde_json::from_slice(&sample("deliveries/failed-invocation")).expect("JSON");
    let no_payload = json!({"requestContext": {
        "requestId": "r", "condition": "RetryAttemptsExhausted", "functionArn": "a",
        "approximateInvokeCount": 1}, "version": "1.0",
        "responseContext": {"statusCode": 200}, "KinesisBatchInfo": {"shardId": "shardId-000"}});
    let dead_letter = String::from_utf8(good("2")).unwrap();
    let bodies = [
        parked.to_string(),
        failed.to_string(),
        dead_letter,
        no_payload.to_string(),
        String::from_utf8(bad("3")).unwrap(),
    ];
    let records = bodies.iter().enumerate().map(|(index, text)| {
        let mut record = Source::Sqs.record(index, text.as_bytes());
        record["eventSourceARN"] = json!("arn:aws:sqs:eu-west-1:123456789012:failures");
        record
    });
    let event = json!({"Records": records.collect::<Vec<_>>()}).to_string();
    for _ in 0..2 {
        let answer = world.send(event.clone()).await;
        assert_eq!(answer, failures(&["record-3", "record-4"]), "they stay in the queue");
        assert_eq!(world.parked(), Vec::<Value>::new(), "nothing goes round in circles");
        let texts = world.texts().await;
        assert_eq!(texts, ["text of 1", "text of 2", "Hello, my order has not arrived."]);
    }
    let log = world.function.kill().await;
    assert!(log.contains("the failure's record holds no payload"), "{log}");
}

/// Lambda's record of a failure says when it gave up, which may be after newer reactions came.
#[tokio::test]
async fn regression_a_replayed_failed_invocation_keeps_newer_reactions() {
    let world = World::start().await;
    let total = async || {
        let rows = world.engine.rows().await;
        total(&rows[0]).to_owned()
    };
    let failed = |gave_up_at: Option<i64>, total: u64| {
        let payload: Value = serde_json::from_slice(&reactions("1", total)).expect("JSON");
        let record = json!({"version": "1.0", "timestamp": gave_up_at.map(time::in_words),
            "requestContext": {"requestId": "r", "condition": "RetriesExhausted"},
            "requestPayload": payload});
        let mut record = Source::Sqs.record(0, record.to_string().as_bytes());
        record["eventSourceARN"] = json!("arn:aws:sqs:eu-west-1:123456789012:failures");
        record["attributes"]["SentTimestamp"] = json!((time::now() + 60_000).to_string());
        json!({"Records": [record]}).to_string()
    };
    world.send(reactions("1", 2)).await;
    let hour = 3_600_000;
    for gave_up_at in [Some(time::now() + 60_000), Some(time::now() + 6 * hour), None] {
        assert_eq!(world.send(failed(gave_up_at, 1)).await, failures(&[]));
        assert_eq!(total().await, "2", "{gave_up_at:?}");
    }
    // What came so much later is newer, whenever it came.
    world.send(failed(Some(time::now() + 7 * hour), 3)).await;
    assert_eq!(total().await, "3");
}

/// Parked, replayed, replayed again: also for snapshots and for reactions that newer ones followed.
#[tokio::test]
async fn replaying_changes_nothing_that_came_since() {
    let (engine, services, api) =
        (Engine::start().await, Services::start().await, RuntimeApi::start().await);
    let queue = services.queue_url();
    let settings = [
        ("FAILURE_QUEUE_URL", queue.as_str()),
        ("REACTIONS", "snapshots"),
        ("ABLY_APP_ID", "other"),
        ("WEBHOOK_TOKEN", TOKEN),
    ];
    let env = [engine.env(), services.env()].concat();
    let with_app = |body: Vec<u8>, app: &str| {
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        body["appId"] = json!(app);
        body.to_string().into_bytes()
    };
    let old = with_app(reactions("1", 1), "this");
    let function = spawn(&api, &env, &settings);
    api.invoke(Source::Kinesis.event(&[old]), TIMEOUT).await;
    drop(function);
    assert_eq!(services.messages().len(), 1, "of another app, says the wrong setting");

    let settings = settings.map(|(name, value)| match name {
        "ABLY_APP_ID" => (name, "this"),
        _ => (name, value),
    });
    let function = spawn(&api, &env, &settings);
    let new = with_app(reactions("1", 2), "this");
    api.invoke(Source::Kafka.event(&[new]), TIMEOUT).await;
    let world = World { engine, services, api, function };
    let replay = redrive(&world).to_string();
    let mut rows = Vec::new();
    for _ in 0..2 {
        assert_eq!(world.send(replay.clone()).await, failures(&[]));
        let found = world.engine.rows().await;
        assert!(rows.is_empty() || rows == found, "{found:?}");
        rows = found;
    }
    let keys: Vec<_> = rows.iter().map(|row| row["sk"].as_s().unwrap().as_str()).collect();
    assert_eq!(keys, ["reactions#1", "snapshot#1#chat-0@0.0", "snapshot#1#record-0.0"]);
    assert_eq!(total(&rows[0]), "2", "the newer stays");
    let first_came = world.parked()[0]["parked"]["receivedAt"].to_string();
    assert_eq!(rows[2]["receivedAt"].as_n(), Ok(&first_came), "and not when it was replayed");
}

#[tokio::test]
async fn what_was_kept_of_a_failure_can_be_invoked_directly() {
    let engine = Engine::start().await;
    let bodies = ["deliveries/failed-invocation", "deliveries/parked", "msgpack"].map(sample);
    let (answers, _) = run(&engine, &[], &bodies).await;
    for answer in &answers {
        let Answer::Response(report) = answer else { panic!("{answer:?}") };
        assert_eq!(report["stored"], 1);
    }
    let rows = engine.rows().await;
    let data = rows.iter().find_map(|row| row.get("data")).expect("the binary payload");
    assert_eq!(data.as_b().unwrap().as_ref(), [0xde, 0xad, 0xbe, 0xef]);
}
