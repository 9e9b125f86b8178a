//! Every file of `events/deliveries/`: it is what AWS's own types take it for, and the function
//! stores what is in it and answers in that service's form.

use std::collections::BTreeSet;
use std::path::Path;

use ably_chat_exporter::store::Settings;
use aws_lambda_events::alb::{AlbTargetGroupRequest, AlbTargetGroupResponse};
use aws_lambda_events::apigw::{
    ApiGatewayProxyRequest, ApiGatewayProxyResponse, ApiGatewayV2httpRequest,
    ApiGatewayV2httpResponse,
};
use aws_lambda_events::kafka::KafkaEvent;
use aws_lambda_events::kinesis::KinesisEvent;
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use aws_lambda_events::rabbitmq::RabbitMqEvent;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_lambda_events::streams::KinesisEventResponse;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::{Answer, Engine, Item, RuntimeApi, Services};

use crate::common::function::{TIMEOUT, sample, spawn};
use crate::common::{self, send};

/// Sends one sample, and gives back the answer's bytes and the table.
async fn run(event: &str) -> (Vec<u8>, Vec<Item>) {
    let (engine, services, api) =
        (Engine::start().await, Services::start().await, RuntimeApi::start().await);
    let env = [engine.env(), services.env()].concat();
    let queue = services.queue_url();
    let settings = [
        ("FAILURE_QUEUE_URL", queue.as_str()),
        ("WEBHOOK_KEYS", "aB3dEf.a1B2c3:the-secret-of-the-samples"),
        ("WEBHOOK_TOKEN", "the-token-of-the-samples"),
    ];
    let _function = spawn(&api, &env, &settings);
    match api.invoke(delivery(event), TIMEOUT).await {
        Answer::Response(_) => {}
        Answer::Error(error) => panic!("{event}: {error}"),
    }
    assert_eq!(services.messages(), Vec::<String>::new(), "{event}");
    (api.last_response().to_vec(), engine.rows().await)
}

/// The sample of this name.
fn delivery(event: &str) -> Vec<u8> {
    sample(&format!("deliveries/{event}"))
}

fn read<T: DeserializeOwned>(json: &[u8]) -> T {
    serde_json::from_slice(json).expect("what AWS's own type takes")
}

fn kinds(rows: &[Item]) -> Vec<&str> {
    let sort_keys = rows.iter().map(|row| row["sk"].as_s().expect("a string"));
    sort_keys.map(|sk| sk.split('#').next().expect("a kind")).collect()
}

#[tokio::test]
async fn queues() {
    for (event, rows) in [
        ("sqs", &["message", "version", "version"][..]),
        ("sqs-fifo", &["message", "version", "version"]),
        ("sqs-redrive", &["message", "reactions", "version", "version"]),
    ] {
        let records = read::<SqsEvent>(&delivery(event)).records;
        assert!(records.iter().all(|record| record.body.is_some() && record.message_id.is_some()));
        let (answer, found) = run(event).await;
        assert_eq!(kinds(&found), rows, "{event}");
        assert_eq!(read::<SqsBatchResponse>(&answer).batch_item_failures, []);
    }
}

#[tokio::test]
async fn streams() {
    for (event, rows) in [
        ("kinesis", &["message", "reactions", "version", "version"][..]),
        ("kinesis-msgpack", &["message", "message", "version", "version"]),
    ] {
        assert!(!read::<KinesisEvent>(&delivery(event)).records.is_empty());
        let (answer, found) = run(event).await;
        assert_eq!(kinds(&found), rows, "{event}");
        assert_eq!(read::<KinesisEventResponse>(&answer).batch_item_failures, []);
    }
    for (event, rows) in [
        ("kafka-msk", &["message", "version", "version"][..]),
        ("kafka-self-managed", &["message", "reactions", "version"]),
    ] {
        assert!(!read::<KafkaEvent>(&delivery(event)).records.is_empty());
        assert_eq!(kinds(&run(event).await.1), rows, "{event}");
    }
}

#[tokio::test]
async fn brokers() {
    assert_eq!(kinds(&run("rabbitmq").await.1), ["message", "version"]);
}

/// As a real broker's events are (aws/aws-lambda-dotnet#1562): AWS's own type refuses it whole, for
/// a member that nobody here needs. This is why events are not read with those types.
#[test]
fn a_null_priority_is_not_to_keep_a_message_out() {
    let mut event: Value = read(&delivery("rabbitmq"));
    let text = |event: &Value| event.to_string();
    assert!(serde_json::from_str::<RabbitMqEvent>(&text(&event)).is_err());
    event["rmqMessagesByQueue"]["chat::/"][0]["basicProperties"]["priority"] = json!(0);
    assert!(serde_json::from_str::<RabbitMqEvent>(&text(&event)).is_ok());
}

#[tokio::test]
async fn webhooks() {
    let url: LambdaFunctionUrlRequest = read(&delivery("function-url"));
    assert_eq!(url.request_context.http.method.as_deref(), Some("POST"));
    read::<LambdaFunctionUrlRequest>(&delivery("function-url-batch"));
    read::<ApiGatewayV2httpRequest>(&delivery("http-api"));
    read::<ApiGatewayProxyRequest>(&delivery("rest-api"));
    read::<AlbTargetGroupRequest>(&delivery("alb"));
    read::<AlbTargetGroupRequest>(&delivery("alb-multi-value"));
    for (event, rows) in [
        ("function-url", 2),
        ("function-url-batch", 4),
        ("http-api", 2),
        ("rest-api", 4),
        ("alb", 2),
        ("alb-multi-value", 2),
    ] {
        let (answer, found) = run(event).await;
        assert_eq!(found.len(), rows, "{event}");
        let status = match event {
            "rest-api" => read::<ApiGatewayProxyResponse>(&answer).status_code,
            "alb" | "alb-multi-value" => {
                let answer: AlbTargetGroupResponse = read(&answer);
                assert_eq!(answer.status_description.as_deref(), Some("200 OK"));
                let is_multi = answer.multi_value_headers.contains_key("content-type");
                assert_eq!(is_multi, event == "alb-multi-value");
                assert_eq!(answer.headers.contains_key("content-type"), event == "alb");
                answer.status_code
            }
            // A function URL takes the HTTP API's payload format 2.0.
            _ => {
                let mut answer: Value = read(&answer);
                answer["cookies"] = json!([]);
                read::<ApiGatewayV2httpResponse>(answer.to_string().as_bytes()).status_code
            }
        };
        assert_eq!(status, 200, "{event}");
    }
}

/// Every sample that is an Ably payload, written in MessagePack, leaves the same rows.
#[tokio::test]
async fn messagepack_twins_leave_the_same_rows() {
    let mut twins = 0;
    for event in names("events") {
        let json: Value = read(&sample(&event));
        if json.get("messages").or(json.get("items")).is_none() {
            continue;
        }
        let twin = rmp_serde::to_vec(&json).expect("MessagePack holds what JSON does");
        let (one, two) = (Engine::start().await, Engine::start().await);
        let report = send(&common::ingest(&one, Settings::default()), "d", &sample(&event)).await;
        let twin_report = send(&common::ingest(&two, Settings::default()), "d", &twin).await;
        assert_eq!(twin_report, report, "{event}");
        assert_eq!(one.rows().await, two.rows().await, "{event}");
        twins += 1;
    }
    assert!(twins >= 15, "{twins}");
}

/// The samples in a folder.
fn names(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).expect("the folder exists");
    let paths = files.map(|file| file.expect("the folder can be read").path());
    let samples = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    samples.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

/// A sample that no test names proves nothing.
#[test]
fn every_event_is_tested() {
    let tests =
        [include_str!("../wire/events.rs"), include_str!("replay.rs"), include_str!("samples.rs")];
    let tests = tests.concat();
    for name in names("events").union(&names("events/deliveries")) {
        assert!(tests.contains(&format!("{name}\"")), "{name} has no test");
    }
}
