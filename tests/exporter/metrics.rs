//! What the function counts, as the alarms of `template.yaml` look at it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::template::Template;
use testkit::{Answer, Engine, Fault, FaultProxy, RuntimeApi, Services};

use crate::common::function::{TIMEOUT, run, sample, spawn};
use crate::common::sources::{Source, TOKEN, request};

/// The metric lines of a log.
fn metrics(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str(line).expect("log lines are JSON"));
    lines.filter(|line: &Value| line.get("_aws").is_some()).collect()
}

/// By which dimensions CloudWatch takes a metric out of a line.
fn dimensions(line: &Value, metric: &str) -> Vec<Value> {
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().expect("directives");
    let names = |directive: &Value| directive["Metrics"].as_array().cloned().unwrap_or_default();
    let of_metric = directives
        .iter()
        .filter(|directive| names(directive).iter().any(|found| found["Name"] == metric));
    of_metric.flat_map(|directive| directive["Dimensions"].as_array().cloned()).flatten().collect()
}

/// The invocation succeeds, and the queue's own metric of age forgets what was received three
/// times.
#[tokio::test]
async fn regression_records_of_a_queue_that_the_table_refuses_are_counted() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Throttle).await;
    let api = RuntimeApi::start().await;
    let env = testkit::env(&proxy.endpoint);
    let function = spawn(&api, &env, &[("AWS_MAX_ATTEMPTS", "1")]);
    let event = Source::Sqs.event(&[sample("create"), sample("presence"), sample("update")]);
    let Answer::Response(answer) = api.invoke(event, Duration::from_secs(10)).await else {
        panic!("a queue is answered with a list, not with an error")
    };
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(2));
    let lines = metrics(&function.kill().await);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["HandedBack"], 2);
    assert_eq!(lines[0]["Parked"], 0);
    assert_eq!(dimensions(&lines[0], "HandedBack"), [json!(["FunctionName"])]);
}

#[tokio::test]
async fn regression_a_refused_webhook_is_counted_by_its_reason() {
    let secret = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/webhook-keys";
    let (engine, services, api) =
        (Engine::start().await, Services::start().await, RuntimeApi::start().await);
    let settings = [
        ("WEBHOOK_TOKEN", TOKEN),
        ("WEBHOOK_KEYS", secret),
        ("ABLY_APP_ID", "aB3dEf"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ];
    let function = spawn(&api, &[engine.env(), services.env()].concat(), &settings);
    let with = |body: &[u8]| request(body, &[("x-webhook-token", TOKEN)]);
    let mut get = with(b"");
    get["requestContext"]["http"]["method"] = json!("GET");
    let mut not_base64 = with(b"{}");
    not_base64["body"] = json!("eyJ9x");
    let signed = request(b"{}", &[("x-ably-signature", "c2lnbmVk"), ("x-ably-key", "key")]);
    let other_app = br#"{"appId":"other","channel":"r::$chat","messages":[]}"#;
    let table = [
        (get, 405, Some("method")),
        (request(&sample("create"), &[]), 401, Some("authentication")),
        (request(&sample("create"), &[("x-webhook-token", "x")]), 401, Some("authentication")),
        (not_base64, 400, Some("body")),
        (with(&sample("not-enveloped")), 400, Some("rule")),
        (with(&sample("before-publish")), 400, Some("rule")),
        (with(other_app), 400, Some("rule")),
        (signed, 503, Some("secret")),
        (with(&sample("create")), 200, None),
        (with(&sample("unknown-action")), 500, None),
    ];
    let mut expected = Vec::new();
    for (request, status, reason) in table {
        let answer = api.invoke(request.to_string(), TIMEOUT).await;
        let Answer::Response(response) = answer else { panic!("{answer:?}") };
        assert_eq!(response["statusCode"], status, "{response}");
        expected.extend(reason);
    }
    let lines = metrics(&function.kill().await);
    let refused: Vec<_> = lines.iter().filter(|line| line.get("Refused").is_some()).collect();
    let reasons: Vec<_> = refused.iter().map(|line| line["Reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, expected);
    for line in refused {
        assert_eq!((&line["Refused"], &line["Received"]), (&json!(1), &json!(0)), "{line}");
        assert_eq!(line["FunctionName"], "exporter");
        let by_reason = json!(["FunctionName", "Reason"]);
        assert_eq!(dimensions(line, "Refused"), [json!(["FunctionName"]), by_reason], "{line}");
        assert_eq!(dimensions(line, "Received"), [json!(["FunctionName"])], "{line}");
    }
}

/// Lambda takes a line without a level for INFO; metric lines have none.
#[tokio::test]
async fn regression_a_log_level_above_info_leaves_the_metrics() {
    let engine = Engine::start().await;
    let settings = [("LOG_LEVEL", "ERROR"), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")];
    let bodies = [sample("create"), sample("unknown-action")];
    let (_, log) = run(&engine, &settings, &bodies).await;
    assert_eq!(metrics(&log).len(), 2, "{log}");
    assert!(!log.contains("\"INFO\"") && log.contains("message not stored"), "{log}");
    let (_, log) = run(&engine, &[("AWS_LAMBDA_LOG_LEVEL", "ERROR")], &bodies).await;
    assert!(!log.contains("\"INFO\""), "set in Lambda's own way, without the stack: {log}");
}

/// What the documents list, and count in the table of costs, is what a stack without further
/// deliveries has.
#[tokio::test]
async fn documents_list_and_count_metrics_and_alarms() {
    let engine = Engine::start().await;
    let (_, log) = run(&engine, &[], &[sample("create")]).await;
    let line = metrics(&log).remove(0);
    let written = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("metrics");
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        std::fs::read_to_string(path).expect("the file exists")
    };
    let (logging, costs) = (read("LOGGING.md"), read("COST-AND-SPEED.md"));
    for metric in written {
        let name = metric["Name"].as_str().expect("a name");
        assert!(logging.contains(&format!("`{name}`")), "{name} is not in LOGGING.md");
    }
    let template = Template::default();
    let resources = template.unconditional_resources();
    let alarms = resources.iter().filter(|name| name.ends_with("Alarm")).count();
    let arithmetic = format!("| {} × 0.30 + {alarms} × 0.10 | ", written.len());
    let (_, rest) = costs.split_once(&arithmetic).unwrap_or_else(|| panic!("{arithmetic}"));
    let cents = written.len() * 30 + alarms * 10;
    assert!(rest.starts_with(&format!("{}.{:02} |", cents / 100, cents % 100)), "{cents}");
}
