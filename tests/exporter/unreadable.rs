//! Events and records that hold no payload.

use serde_json::{Value, json};

use crate::common::function::error;
use crate::common::sources::Source;
use crate::world::{World, failures, good};

#[tokio::test]
async fn records_that_hold_no_payload_are_parked_with_a_reason() {
    let world = World::start().await;
    let with = |source: Source, pointer: &str, value: Value| {
        let mut record = source.record(1, &good("x"));
        *record.pointer_mut(pointer).expect("the member exists") = value;
        record
    };
    let gzip = [0x1f_u8, 0x8b, 8, 0, 0, 0, 0, 0];
    let table = [
        (with(Source::Kinesis, "/kinesis/data", json!("eyJ")), "the event is not JSON: EOF"),
        (with(Source::Kinesis, "/kinesis/data", json!("e!!!")), "kinesis.data: not base64"),
        (with(Source::Kinesis, "/kinesis/data", json!(7)), "not of the types that AWS documents"),
        (Source::Kinesis.record(1, &gzip), "compressed with gzip"),
        (
            Source::Kinesis.record(1, b"\x82\xa1a"),
            "not MessagePack as Ably writes it: it ends early",
        ),
        (Source::Kinesis.record(1, b"\x81\xc0\xc0"), "a map key that Ably's events do not have"),
        (Source::Kinesis.record(1, b"\x80\x80"), "bytes follow its end"),
        (Source::Kinesis.record(1, &[0x81, 0xa1, b'a'].repeat(400)), "more than 256 levels deep"),
        (Source::Kinesis.record(1, b""), "the event is not JSON: EOF"),
        (with(Source::Sqs, "/body", json!({"channel": "r"})), "body: expected a string"),
        (with(Source::Sqs, "/body", json!("hqZzb3VyY2W")), "it ends early"),
        (with(Source::Sqs, "/body", json!("")), "the event is not JSON: EOF"),
        (with(Source::Sqs, "/eventSource", json!("aws:s3")), "\"aws:s3\" is neither aws:sqs nor"),
        (json!({"EventSource": "aws:sns", "Sns": {}}), "\"aws:sns\" is neither aws:sqs nor"),
        (json!({"hello": "world"}), "eventSource: missing"),
        (json!(["aws:sqs"]), "the record is not an object"),
    ];
    let mut records: Vec<Value> = table.iter().map(|(record, _)| record.clone()).collect();
    records.insert(8, Source::Sqs.record(0, &good("1")));
    records.push(Source::Kinesis.record(2, &good("2")));
    let answer = world.send(json!({"Records": records}).to_string()).await;
    assert_eq!(answer, failures(&[]));
    assert_eq!(world.texts().await, ["text of 1", "text of 2"]);
    let parked = world.parked();
    assert_eq!(parked.len(), table.len());
    for (_, reason) in &table {
        let is_there = |one: &&Value| one["parked"]["reason"].as_str().unwrap().contains(reason);
        assert!(parked.iter().any(|one| is_there(&one)), "{reason} in {parked:#?}");
    }
    let log = world.function.kill().await;
    assert!(!log.contains("hello") && !log.contains("text of"), "{log}");
}

#[tokio::test]
async fn a_record_without_a_name_fails_the_event_unless_it_is_parked() {
    let records =
        json!({"Records": [Source::Sqs.record(0, &good("1")), {"eventSource": "aws:s3"}]});
    let world = World::without_failure_queue().await;
    let answer = world.send(records.to_string()).await;
    assert_eq!(error(&answer).0, "NonRetryable");
    assert!(error(&answer).1.contains("\"aws:s3\" is neither"), "{answer:?}");
    assert_eq!(world.texts().await, ["text of 1"]);
    let world = World::start().await;
    assert_eq!(world.send(records.to_string()).await, failures(&[]));
}

#[tokio::test]
async fn events_of_nobody_we_know_are_refused_by_what_they_are() {
    let world = World::start().await;
    for (event, reason) in [
        (json!({"Records": []}), "$.Records: empty"),
        (json!({"Records": {}}), "$.Records: expected an array"),
        (json!({"detail-type": "Scheduled Event", "source": "aws.events"}), "an EventBridge event"),
        (json!({"awslogs": {"data": "H4sI"}}), "a CloudWatch Logs event"),
        (json!({"eventSource": "aws:kafka", "records": []}), "$.records: expected arrays"),
        (json!({"eventSource": "aws:kafka", "records": {}}), "the event holds no records"),
        (json!({"rmqMessagesByQueue": 7}), "$.rmqMessagesByQueue: expected arrays"),
        (json!({"requestContext": {"http": {"method": 7}}}), "an HTTP request whose members"),
        (json!({"anything": "else"}), "$.messages: missing, so this is not an enveloped"),
    ] {
        let answer = world.send(event.to_string()).await;
        let (kind, message) = error(&answer);
        assert_eq!(kind, "NonRetryable", "{event}");
        assert!(message.contains(reason), "{event}: {message}");
    }
    assert_eq!(world.parked(), Vec::<Value>::new(), "a direct invocation is kept by Lambda");
}

/// Ably publishes AMQP 0.9.1, which RabbitMQ speaks and ActiveMQ does not.
#[tokio::test]
async fn events_of_activemq_are_refused_by_name() {
    let world = World::start().await;
    let arn = "arn:aws:mq:eu-west-1:123456789012:broker:chat:b-1";
    let message = json!({"messageID": "m", "messageType": "jms/text-message", "data": "e30="});
    // AWS's documents spell it both ways.
    for event_source in ["aws:mq", "aws:amq"] {
        let event = json!({"eventSource": event_source, "eventSourceArn": arn,
                           "messages": [message]});
        let answer = world.send(event.to_string()).await;
        let (kind, reason) = error(&answer);
        assert_eq!(kind, "NonRetryable", "{event_source}");
        assert!(reason.contains("ActiveMQ") && reason.contains("RabbitMQ"), "{reason}");
    }
    assert_eq!(world.engine.rows().await, []);
}

/// An unreadable event of Kinesis, Kafka or a front end was logged as a direct invocation.
#[tokio::test]
async fn regression_an_unreadable_event_is_logged_by_its_source() {
    for (event, source) in [
        (json!({"Records": []}), "records"),
        (json!({"eventSource": "aws:kafka", "records": {}}), "kafka"),
        (json!({"rmqMessagesByQueue": 7}), "rabbitmq"),
        (json!({"requestContext": {"http": {"method": 7}}}), "http"),
        (json!({"awslogs": {"data": "H4sI"}}), "unknown"),
        (json!({"anything": "else"}), "direct"),
    ] {
        let world = World::start().await;
        world.send(event.to_string()).await;
        let log = world.function.kill().await;
        let line = log.lines().find(|line| line.contains("message not stored")).expect("a line");
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["source"], source, "{event}");
    }
}
