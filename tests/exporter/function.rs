//! The built function, as Lambda runs it: a process that polls the Runtime API.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::common::function::{TIMEOUT, error, run, sample, spawn};
use crate::common::sources::Source;
use crate::common::{self, Model};
use ably_chat_exporter::store::{Settings, Versions};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Engine, Fault, FaultProxy, RuntimeApi};
use tokio::sync::Notify;
use tokio::time::Instant;

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

#[tokio::test]
async fn a_missing_table_is_named_with_the_action() {
    let engine = Engine::start().await;
    let (answers, _) = run(&engine, &[("TABLE_NAME", "nowhere")], &[sample("create")]).await;
    let (kind, message) = error(&answers[0]);
    assert_eq!(kind, "Retryable", "the record is not at fault");
    let expected = "dynamodb:PutItem on table \"nowhere\": ResourceNotFoundException";
    assert!(message.contains(expected), "{message}");
}

#[tokio::test]
async fn wrong_settings_stop_the_start_and_are_all_named() {
    let engine = Engine::start().await;
    let api = RuntimeApi::start().await;
    let wrong = [("TABLE_NAME", ""), ("VERSIONS", "some"), ("ROOM_FILTER", "[")];
    let (status, log) = spawn(&api, &engine.env(), &wrong).wait().await;
    assert!(!status.success());
    assert_eq!(api.polls(), 0);
    for name in ["TABLE_NAME is not set", "VERSIONS: expected one of", "ROOM_FILTER: not a"] {
        assert!(log.contains(name), "{name} in {log}");
    }
}

#[tokio::test]
async fn logs_and_metrics_tell_outcomes_and_no_content() {
    let engine = Engine::start().await;
    let names = [
        "create",
        "update",
        "delete-with-text",
        "summary-distinct",
        "unknown-action",
        "hostile-metadata",
        "encrypted",
        "not-enveloped",
        "before-publish",
        "append",
    ];
    let mut bodies: Vec<_> = names.into_iter().map(sample).collect();
    bodies.push(
        br#"{"channel":"r::$chat","messages":[{"name":"chat.message","serial":"1-0",
        "clientId":["secret-client"],"data":"secret-text"}]}"#
            .to_vec(),
    );
    bodies.push(
        br#"{"channel":"r::$chat","messages":[{"name":"chat.message","serial":"2-0",
        "data":"{\"text\":\"secret-text\"}"}]}"#
            .to_vec(),
    );
    let settings = [("CIPHER_KEY", "AAECAwQFBgcICQoLDA0ODw=="), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")];
    let (_, log) = run(&engine, &settings, &bodies).await;
    for phrase in ["Hello", "4711", "From the future", "DROP TABLE", "and so on", "AAECAwQF"] {
        assert!(!log.contains(phrase), "{phrase} in {log}");
    }
    let words: BTreeSet<&str> = log.split(|c: char| !c.is_alphanumeric()).collect();
    for word in ["coins", "secret", "ana", "eve", "mallory", "cleo", "moderator", "customer"] {
        assert!(!words.contains(word), "{word} in {log}");
    }
    let lines: Vec<Value> = log.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let with = |message: &str| lines.iter().filter(|l| l["message"] == message).count();
    assert_eq!(with("ingested"), bodies.len(), "one line per invocation");
    assert_eq!(with("message not stored"), 4);
    let odd = lines.iter().find(|line| line["members"] == "clientId").expect("a warning");
    assert_eq!((&odd["level"], &odd["message.serial"]), (&json!("WARN"), &json!("1-0")));
    assert_eq!(lines.iter().filter(|line| line["odd"] == 1).count(), 1, "counted");
    assert!(log.contains("the delivery seems to lose `encoding`"));

    let metrics: Vec<&Value> = lines.iter().filter(|line| line.get("_aws").is_some()).collect();
    assert_eq!(metrics.len(), bodies.len());
    let metric = metrics[0];
    assert_eq!(metric["FunctionName"], "exporter");
    for (name, value) in [("Received", 1), ("Stored", 1), ("Superseded", 0), ("Failed", 0)] {
        assert_eq!(metric[name], value, "{name}");
    }
    assert_eq!(metric["_aws"]["CloudWatchMetrics"][0]["Namespace"], "AblyChatExporter");
    let lag = &metric["IngestLag"];
    let lag = lag["Values"][0].as_f64().or(lag.as_f64()).expect("a lag");
    assert!(lag > 1_000_000.0, "the sample is old: {metric}");
}

#[tokio::test]
async fn rooms_outside_the_filter_are_skipped() {
    let engine = Engine::start().await;
    let (answers, _) = run(&engine, &[("ROOM_FILTER", "^lobby$")], &[sample("batch")]).await;
    let Answer::Response(report) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(report["stored"], 1);
    assert_eq!(report["skipped"], json!({"presence": 1, "roomFilter": 1}));
    let (answers, _) = run(&engine, &[("ROOM_FILTER", "^lobby$")], &[sample("append")]).await;
    let Answer::Response(report) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(report["skipped"], json!({"roomFilter": 1}), "not even a failure is wanted");
}

#[tokio::test]
async fn the_deadline_ends_retries_and_the_record_is_retryable() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Throttle).await;
    let api = RuntimeApi::start().await;
    let env = testkit::env(&proxy.endpoint);
    let _function = spawn(&api, &env, &[("AWS_MAX_ATTEMPTS", "1000")]);
    let answer = api.invoke(sample("create"), Duration::from_secs(2)).await;
    let (kind, message) = error(&answer);
    assert_eq!(kind, "Retryable");
    assert!(message.contains("no answer before the invocation's deadline"), "{message}");
    assert!(proxy.requests() > 2, "it was tried again");
}

/// The most memory that a process has had, in MB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("it is there");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") / 1_024
}

/// 150,000 messages in one payload took 823 MB, and there was no answer within a minute.
#[tokio::test]
async fn regression_very_many_messages_are_answered_in_time_and_within_memory() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Hang).await;
    let api = RuntimeApi::start().await;
    let function = spawn(&api, &testkit::env(&proxy.endpoint), &[]);
    let message = |number| json!({"name": "chat.message", "serial": format!("{number}")});
    let messages: Vec<_> = (0..20_000).map(message).collect();
    let body = json!({"channel": "r::$chat", "messages": messages}).to_string();
    let started = Instant::now();
    let answer = api.invoke(body, Duration::from_secs(6)).await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    let (kind, reason) = error(&answer);
    assert_eq!(kind, "Retryable");
    // As many as are planned at once, and the rest as one.
    assert!(reason.starts_with("2049 of 2049 not stored; "), "{reason}");
    assert!(reason.len() < 2_000, "{reason}");
    let memory = peak_memory(function.id().expect("it runs"));
    assert!(memory < 70, "{memory} MB");
    let log = function.kill().await;
    assert!(log.len() < 5_000, "one line for each reason: {log}");
}

/// An outage used to write one line for each message and attempt.
#[tokio::test]
async fn regression_an_outage_is_logged_by_reason() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Throttle).await;
    let api = RuntimeApi::start().await;
    let settings = [("AWS_MAX_ATTEMPTS", "1")];
    let function = spawn(&api, &testkit::env(&proxy.endpoint), &settings);
    let body = |number: usize| {
        let message = json!({"name": "chat.message", "serial": number.to_string()});
        json!({"channel": "r::$chat", "messages": [message]}).to_string().into_bytes()
    };
    let event = Source::Sqs.event(&(0..50).map(body).collect::<Vec<_>>());
    api.invoke(event, TIMEOUT).await;
    let log = function.kill().await;
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.contains("not stored"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert_eq!((&lines[0]["messages"], &lines[0]["message.serial"]), (&json!(50), &json!("0")));
    assert_eq!(
        (&lines[0]["record"], &lines[0]["then"]),
        (&json!("record-0"), &json!("handed back"))
    );
}

/// Runs the deliveries through the function, killing it each time the table has been asked as
/// often as `kills` say, and delivering again what was in flight.
async fn crash_and_compare(deliveries: Vec<common::Delivery>, kills: Vec<u64>) {
    let engine = Engine::start().await;
    let api = RuntimeApi::start().await;
    let kill = Arc::new(Notify::new());
    let ring = Arc::clone(&kill);
    let proxy = FaultProxy::start(&engine.endpoint, move |request| {
        if kills.contains(&request) {
            ring.notify_one();
        }
        Fault::None
    })
    .await;
    let env = testkit::env(&proxy.endpoint);
    let mut function = spawn(&api, &env, &[]);
    let mut model = Model::default();
    let mut answers = Vec::new();
    for delivery in &deliveries {
        answers.push(api.invoke(delivery.body(), TIMEOUT));
        delivery.ops.iter().for_each(|op| model.arrive(op, 0));
    }
    let mut answered = std::pin::pin!(async {
        for answer in answers {
            let Answer::Response(report) = answer.await else { panic!("an error") };
            assert_eq!(report["failed"], json!([]));
        }
    });
    loop {
        tokio::select! {
            () = &mut answered => break,
            () = kill.notified() => {
                function.kill().await;
                api.redeliver();
                function = spawn(&api, &env, &[]);
            }
        }
    }
    let store = common::ingest(&engine, Settings::default()).store;
    common::check(&store, &model, Versions::Both).await;
    let [messages, versions, reactions, _] = common::count_rows(&engine).await;
    assert_eq!([messages, versions, reactions], model.rows(Versions::Both));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn crashes_do_not_show(
        deliveries in common::history()
            .prop_map(common::ordered_by_version)
            .prop_flat_map(common::deliveries),
        kills in proptest::collection::vec(0..40_u64, 1..6),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(crash_and_compare(deliveries, kills));
    }
}
