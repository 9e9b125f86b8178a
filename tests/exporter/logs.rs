//! What is logged, and what never is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::{Engine, Fault, FaultProxy, RuntimeApi};

use crate::common::function::{TIMEOUT, run, sample, spawn};
use crate::common::sources::Source;

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
    assert_eq!((&odd["level"], &odd["serial"]), (&json!("WARN"), &json!("1-0")));
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
    assert_eq!((&lines[0]["messages"], &lines[0]["serial"]), (&json!(50), &json!("0")));
    assert_eq!(
        (&lines[0]["record"], &lines[0]["then"]),
        (&json!("record-0"), &json!("handed back"))
    );
}
