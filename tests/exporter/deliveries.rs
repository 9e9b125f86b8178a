//! Every way in, through the built function: what it answers each event source, what it parks, and
//! what is in the table then.

use std::collections::BTreeSet;
use std::io::Read;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::function::{TIMEOUT, error, run, sample, spawn};
use crate::common::sources::{Source, TOKEN};
use crate::common::{self, Delivery, EPOCH, Model};
use ably_chat_exporter::store::Settings;
use ably_chat_exporter::time;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Engine, Fault, FaultProxy, FunctionProcess, Item, RuntimeApi, Services};

/// The built function with a table, a failure queue and a token.
struct World {
    engine: Engine,
    services: Services,
    api: RuntimeApi,
    function: FunctionProcess,
}

impl World {
    async fn start() -> Self {
        let engine = Engine::start().await;
        let endpoint = engine.endpoint.clone();
        Self::with(engine, &endpoint, true).await
    }

    async fn with(engine: Engine, endpoint: &str, has_failure_queue: bool) -> Self {
        let (services, api) = (Services::start().await, RuntimeApi::start().await);
        let env = [testkit::env(endpoint), services.env()].concat();
        let queue = if has_failure_queue { services.queue_url() } else { String::new() };
        let settings =
            [("WEBHOOK_TOKEN", TOKEN), ("FAILURE_QUEUE_URL", &queue), ("AWS_MAX_ATTEMPTS", "1")];
        let function = spawn(&api, &env, &settings);
        Self { engine, services, api, function }
    }

    async fn without_failure_queue() -> Self {
        let engine = Engine::start().await;
        let endpoint = engine.endpoint.clone();
        Self::with(engine, &endpoint, false).await
    }

    async fn send(&self, event: impl Into<Vec<u8>>) -> Answer {
        self.api.invoke(event.into(), TIMEOUT).await
    }

    fn parked(&self) -> Vec<Value> {
        let messages = self.services.messages();
        messages.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
    }

    async fn texts(&self) -> Vec<String> {
        let rows = self.engine.rows().await;
        let text = |row: &Item, name: &str| row[name].as_s().expect("a string").clone();
        let latest = rows.iter().filter(|row| text(row, "sk").starts_with("message#"));
        latest.map(|row| text(row, "text")).collect()
    }
}

fn message(serial: &str, members: &Value) -> Value {
    let mut message = json!({"name": "chat.message", "serial": serial, "timestamp": EPOCH,
                             "action": 0, "data": {"text": format!("text of {serial}")}});
    for (name, value) in members.as_object().expect("an object") {
        message[name] = value.clone();
    }
    message
}

fn envelope(message: &Value) -> Vec<u8> {
    let envelope = json!({"source": "channel.message", "channel": "r::$chat",
                          "messages": [message]});
    envelope.to_string().into_bytes()
}

fn good(serial: &str) -> Vec<u8> {
    envelope(&message(serial, &json!({})))
}

/// A message that can never be stored.
fn bad(serial: &str) -> Vec<u8> {
    envelope(&message(serial, &json!({"action": 77})))
}

fn reactions(serial: &str, total: u64) -> Vec<u8> {
    let summary = json!({"reaction:distinct.v1": {"👍": {"total": total}}});
    envelope(&message(serial, &json!({"action": 4, "annotations": {"summary": summary}})))
}

fn failures(ids: &[&str]) -> Answer {
    let ids = ids.iter().map(|id| json!({"itemIdentifier": id}));
    Answer::Response(json!({"batchItemFailures": ids.collect::<Vec<_>>()}))
}

fn status(answer: &Answer) -> &Value {
    match answer {
        Answer::Response(response) => &response["statusCode"],
        Answer::Error(error) => panic!("{error}"),
    }
}

/// What means "all is well" to a source.
fn assert_well(source: Source, answer: &Answer) {
    match source {
        Source::FunctionUrl => assert_eq!(status(answer), 200, "{answer:?}"),
        _ => assert_eq!(*answer, failures(&[]), "{source:?}"),
    }
}

#[tokio::test]
async fn what_is_bad_for_good_is_parked_and_its_neighbours_are_stored() {
    for source in Source::BATCHES {
        let world = World::start().await;
        let answer = world.send(source.event(&[good("1"), bad("2"), good("3")])).await;
        assert_well(source, &answer);
        assert_eq!(world.texts().await, ["text of 1", "text of 3"], "{source:?}");
        let parked = world.parked();
        assert_eq!(parked.len(), 1, "{source:?}");
        let circumstances = &parked[0]["parked"];
        assert_eq!(circumstances["source"], source.name());
        assert!(circumstances["sourceArn"].as_str().unwrap().starts_with("arn:aws:"), "{source:?}");
        assert_eq!(circumstances["recordId"], source.id(1));
        assert_eq!(circumstances["errorType"], "NonRetryable");
        let reason = r#"room "r" serial "2": $.messages[0].action: unknown action 77"#;
        assert_eq!(circumstances["reason"], reason);
        assert_eq!(circumstances["functionVersion"], "$LATEST");
        let (received, parked_at) = (&circumstances["receivedAt"], &circumstances["parkedAt"]);
        assert!(received.as_i64().unwrap() <= parked_at.as_i64().unwrap());
        assert!(received.as_i64().unwrap() > 1_700_000_000_000);
        assert_eq!(parked[0]["body"].as_str().unwrap().as_bytes(), bad("2"), "{source:?}");
        assert_eq!(parked[0].as_object().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn without_a_failure_queue_what_is_bad_goes_back_to_its_source() {
    for (source, named) in [
        (Source::Sqs, &["record-1"][..]),
        (Source::SqsFifo, &["record-1", "record-2"]),
        (Source::Kinesis, &["record-1"]),
    ] {
        let world = World::without_failure_queue().await;
        let event = source.event(&[good("1"), bad("2"), good("3")]);
        assert_eq!(world.send(event).await, failures(named), "{source:?}");
        assert_eq!(world.texts().await, ["text of 1", "text of 3"], "{source:?}");
    }
    for source in [Source::Kafka, Source::RabbitMq, Source::ActiveMq] {
        let world = World::without_failure_queue().await;
        let answer = world.send(source.event(&[good("1"), bad("2"), good("3")])).await;
        let (kind, reason) = error(&answer);
        assert_eq!(kind, "NonRetryable");
        assert!(reason.starts_with(r#"1 of 3 not stored; room "r" serial "2": "#), "{reason}");
        assert_eq!(world.texts().await, ["text of 1", "text of 3"], "{source:?}");
    }
    let world = World::without_failure_queue().await;
    assert_eq!(status(&world.send(Source::FunctionUrl.event(&[bad("2")])).await), 500);
}

#[tokio::test]
async fn all_good_and_all_bad() {
    for source in Source::ALL {
        let world = World::start().await;
        let three = |make: fn(&str) -> Vec<u8>| ["1", "2", "3"].map(make);
        assert_well(source, &world.send(source.event(&three(good))).await);
        assert_eq!(world.parked(), Vec::<Value>::new());
        let stored = world.engine.rows().await;
        let count = if source == Source::FunctionUrl { 1 } else { 3 };
        assert_eq!(stored.len(), 2 * count, "{source:?}");

        assert_well(source, &world.send(source.event(&three(bad))).await);
        assert_eq!(world.parked().len(), count, "{source:?}");
        assert_eq!(world.engine.rows().await, stored, "{source:?}");
    }
}

/// Lambda takes an answer that it does not know for success: not a byte may be off.
#[tokio::test]
async fn answers_are_what_aws_documents_byte_for_byte() {
    let world = World::without_failure_queue().await;
    let sent = async |event: Vec<u8>| {
        world.send(event).await;
        String::from_utf8(world.api.last_response().to_vec()).expect("UTF-8")
    };
    let none = r#"{"batchItemFailures":[]}"#;
    let one = r#"{"batchItemFailures":[{"itemIdentifier":"record-1"}]}"#;
    let two =
        r#"{"batchItemFailures":[{"itemIdentifier":"record-1"},{"itemIdentifier":"record-2"}]}"#;
    for source in Source::BATCHES {
        assert_eq!(sent(source.event(&[good("1")])).await, none, "{source:?}");
    }
    let mixed = [good("1"), bad("2"), bad("3")];
    assert_eq!(sent(Source::Sqs.event(&mixed)).await, two);
    assert_eq!(sent(Source::Kinesis.event(&mixed)).await, one, "it goes on from there");
    let report = r#"{\"received\":1,\"stored\":0,\"superseded\":1,\"skipped\":{},\"failed\":[]}"#;
    assert_eq!(
        sent(Source::FunctionUrl.event(&[good("1")])).await,
        format!(
            r#"{{"statusCode":200,"headers":{{"content-type":"application/json"}},"body":"{report}","isBase64Encoded":false}}"#
        )
    );
    assert_eq!(
        sent(sample("deliveries/alb-multi-value")).await,
        r#"{"statusCode":401,"statusDescription":"401 Unauthorized","multiValueHeaders":{"content-type":["application/json"]},"body":"{\"error\":\"not authenticated\"}","isBase64Encoded":false}"#
    );
}

/// A table that can be switched off.
async fn switched(engine: &Engine) -> (FaultProxy, Arc<AtomicBool>) {
    let is_down = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_down);
    let proxy = FaultProxy::start(&engine.endpoint, move |_| {
        if switch.load(Ordering::SeqCst) { Fault::Throttle } else { Fault::None }
    });
    (proxy.await, is_down)
}

#[tokio::test]
async fn what_may_pass_goes_back_and_is_stored_when_it_comes_again() {
    for source in Source::ALL {
        let engine = Engine::start().await;
        let (proxy, is_down) = switched(&engine).await;
        let world = World::with(engine, &proxy.endpoint, true).await;
        is_down.store(true, Ordering::SeqCst);
        let event = source.event(&[good("1"), bad("2"), good("3")]);
        let answer = world.send(event.clone()).await;
        match source {
            Source::Sqs => assert_eq!(answer, failures(&["record-0", "record-2"])),
            Source::SqsFifo => {
                assert_eq!(answer, failures(&["record-0", "record-1", "record-2"]));
            }
            Source::Kinesis => assert_eq!(answer, failures(&["record-0"])),
            Source::FunctionUrl => assert_eq!(status(&answer), 503),
            Source::Kafka | Source::RabbitMq | Source::ActiveMq => {
                assert_eq!(error(&answer).0, "Retryable");
            }
        }
        assert_eq!(world.engine.rows().await, []);
        for _ in 0..3 {
            world.send(event.clone()).await;
        }
        is_down.store(false, Ordering::SeqCst);
        assert_well(source, &world.send(event).await);
        match source {
            // Lambda would not have sent it again: it was acknowledged each time.
            Source::Sqs => assert_eq!(world.parked().len(), 5),
            Source::FunctionUrl => assert_eq!(world.parked().len(), 0),
            _ => assert_eq!(world.parked().len(), 1, "not once for each attempt, {source:?}"),
        }
        let stored = world.texts().await;
        match source {
            Source::FunctionUrl => assert_eq!(stored, ["text of 1"]),
            _ => assert_eq!(stored, ["text of 1", "text of 3"], "{source:?}"),
        }
    }
}

#[tokio::test]
async fn a_record_is_acknowledged_only_once_it_is_stored_or_parked() {
    for source in Source::ALL {
        let world = World::start().await;
        world.services.set_queue_down(true);
        let bodies = match source {
            Source::FunctionUrl => vec![bad("2")],
            _ => vec![good("1"), bad("2"), good("3")],
        };
        let answer = world.send(source.event(&bodies)).await;
        match source {
            Source::Sqs | Source::Kinesis => assert_eq!(answer, failures(&["record-1"])),
            Source::SqsFifo => assert_eq!(answer, failures(&["record-1", "record-2"])),
            Source::FunctionUrl => assert_eq!(status(&answer), 500),
            Source::Kafka | Source::RabbitMq | Source::ActiveMq => {
                assert_eq!(error(&answer).0, "NonRetryable");
            }
        }
        world.services.set_queue_down(false);
        assert_well(source, &world.send(source.event(&bodies)).await);
        assert_eq!(world.parked().len(), 1, "{source:?}");
        let log = world.function.kill().await;
        assert!(log.contains("record not parked"), "{log}");
        assert!(log.contains("sqs:SendMessage: InternalError"), "{log}");
    }
}

#[tokio::test]
async fn duplicates_change_nothing() {
    for source in Source::ALL {
        let world = World::start().await;
        let once = source.event(&[good("1"), good("2")]);
        assert_well(source, &world.send(once.clone()).await);
        let stored = world.engine.rows().await;
        assert_well(source, &world.send(once).await);
        assert_well(source, &world.send(source.event(&[good("1"), good("1"), good("2")])).await);
        assert_eq!(world.engine.rows().await, stored, "{source:?}");
    }
}

/// How many reacted, by a row of current reactions.
fn total(row: &Item) -> &str {
    let path = ["distinct", "👍", "total"];
    let total = path.iter().fold(&row["reactions"], |value, name| {
        value.as_m().expect("a map").get(*name).expect("the member exists")
    });
    total.as_n().expect("a number")
}

#[tokio::test]
async fn within_a_batch_and_over_batches_the_last_reactions_win() {
    for source in Source::BATCHES {
        let world = World::start().await;
        let first = [1, 3, 2].map(|total| reactions("1", total));
        assert_well(source, &world.send(source.event(&first)).await);
        assert_eq!(total(&world.engine.rows().await[0]), "2", "{source:?}");
        let second = [5, 4].map(|total| reactions("1", total));
        assert_well(source, &world.send(source.event(&second)).await);
        assert_eq!(total(&world.engine.rows().await[0]), "4", "{source:?}");
    }
}

/// Standard queues keep no order; the time at which each message got there does.
#[tokio::test]
async fn on_a_standard_queue_the_last_sent_reactions_win() {
    let world = World::start().await;
    let sent = |index: usize, at: &str, total: u64| {
        let mut record = Source::Sqs.record(index, &reactions("1", total));
        record["attributes"]["SentTimestamp"] = json!(at);
        record
    };
    let records = [sent(0, "1767225700002", 2), sent(1, "1767225700001", 1)];
    world.send(json!({"Records": records}).to_string()).await;
    assert_eq!(total(&world.engine.rows().await[0]), "2");
    world.send(json!({"Records": [sent(2, "1767225700000", 9)]}).to_string()).await;
    assert_eq!(total(&world.engine.rows().await[0]), "2");
}

#[tokio::test]
async fn on_a_fifo_queue_a_failure_holds_back_its_own_group_only() {
    let world = World::without_failure_queue().await;
    let record = |index: usize, group: &str, body: &[u8]| {
        let mut record = Source::SqsFifo.record(index, body);
        record["attributes"]["MessageGroupId"] = json!(group);
        record
    };
    let records = [
        record(0, "a", &good("1")),
        record(1, "b", &bad("2")),
        record(2, "a", &good("3")),
        record(3, "b", &good("4")),
        record(4, "a", &bad("5")),
        record(5, "c", &good("6")),
    ];
    let answer = world.send(json!({"Records": records}).to_string()).await;
    assert_eq!(answer, failures(&["record-1", "record-3", "record-4"]));
}

#[tokio::test]
async fn a_burst_of_summaries_costs_a_few_writes() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::None).await;
    let world = World::with(engine, &proxy.endpoint, true).await;
    let burst: Vec<_> = (1..=1_000).map(|total| reactions("1", total)).collect();
    assert_well(Source::Kinesis, &world.send(Source::Kinesis.event(&burst)).await);
    assert_eq!(proxy.requests(), 1);
    assert_eq!(total(&world.engine.rows().await[0]), "1000");
}

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
        (json!({"eventSource": "aws:mq", "messages": 7}), "$.messages: expected an array"),
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

/// An unreadable event of Kinesis, Kafka or a front end was logged as a direct invocation.
#[tokio::test]
async fn regression_an_unreadable_event_is_logged_by_its_source() {
    for (event, source) in [
        (json!({"Records": []}), "records"),
        (json!({"eventSource": "aws:kafka", "records": {}}), "kafka"),
        (json!({"rmqMessagesByQueue": 7}), "rabbitmq"),
        (json!({"eventSource": "aws:mq", "messages": 7}), "activemq"),
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

/// A table with other keys is a wrong setting, and no record's fault: each was parked, or refused.
#[tokio::test]
async fn regression_a_wrong_table_makes_no_record_permanently_wrong() {
    let numbers = ScalarAttributeType::N;
    let tables = [
        ("other-keys", [("id", ScalarAttributeType::S), ("range", ScalarAttributeType::S)]),
        ("other-types", [("pk", ScalarAttributeType::S), ("sk", numbers)]),
    ];
    let engine = Engine::start().await;
    for (name, keys) in tables.clone() {
        let create = engine.client().create_table().table_name(name);
        let create = create.billing_mode(BillingMode::PayPerRequest);
        let kinds = [KeyType::Hash, KeyType::Range];
        let create = keys.into_iter().zip(kinds).fold(create, |create, ((name, of), kind)| {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(of);
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            create
                .attribute_definitions(attribute.build().expect("name and type"))
                .key_schema(key.build().expect("name and type"))
        });
        create.send().await.expect("a table");
    }
    let names = tables.map(|(name, _)| name).into_iter().chain(["no table's name"]);
    for table in names {
        let (services, api) = (Services::start().await, RuntimeApi::start().await);
        let env = [engine.env(), services.env()].concat();
        let queue = services.queue_url();
        let settings = [("TABLE_NAME", table), ("FAILURE_QUEUE_URL", queue.as_str())];
        let _function = spawn(&api, &env, &settings);
        let answer = api.invoke(Source::Sqs.event(&[good("1")]), TIMEOUT).await;
        assert_eq!(answer, failures(&["record-0"]), "{table}");
        assert_eq!(services.messages(), Vec::<String>::new(), "{table}");
        let answer = api.invoke(good("1"), TIMEOUT).await;
        let (kind, reason) = error(&answer);
        assert_eq!(kind, "Retryable", "{table}: {reason}");
        let expected = "TABLE_NAME must name a table with the keys pk and sk, both strings";
        assert!(reason.contains(expected), "{reason}");
    }
}

/// A request that was lost on the way was waited for until the deadline.
#[tokio::test]
async fn regression_a_request_without_an_answer_is_sent_again() {
    let engine = Engine::start().await;
    let lost = |request| if request == 0 { Fault::Hang } else { Fault::None };
    let table = FaultProxy::start(&engine.endpoint, lost).await;
    let (services, api) = (Services::start().await, RuntimeApi::start().await);
    let queue = FaultProxy::start(&services.endpoint, lost).await;
    let env = [testkit::env(&table.endpoint), services.env()].concat();
    let url = services.queue_url();
    let settings =
        [("AWS_ENDPOINT_URL_SQS", queue.endpoint.as_str()), ("FAILURE_QUEUE_URL", url.as_str())];
    let _function = spawn(&api, &env, &settings);
    let event = Source::Kinesis.event(&[good("1"), bad("2")]);
    assert_well(Source::Kinesis, &api.invoke(event, TIMEOUT).await);
    assert_eq!((engine.rows().await.len(), services.messages().len()), (2, 1));
    assert_eq!((table.requests(), queue.requests()), (3, 2));
}

#[tokio::test]
async fn a_poison_item_of_a_webhook_batch_is_parked_by_itself() {
    let world = World::start().await;
    let item = |serial: &str, members: &Value| {
        json!({"webhookId": "w", "source": "channel.message", "serial": format!("s:{serial}"),
               "timestamp": EPOCH, "name": "channel.message",
               "data": {"channelId": "r::$chat", "messages": [message(serial, members)]}})
    };
    let bad_items = [item("2", &json!({"action": 77})), json!({"data": 7})];
    let items =
        [item("1", &json!({})), bad_items[0].clone(), bad_items[1].clone(), item("3", &json!({}))];
    let body = json!({"items": items}).to_string().into_bytes();
    let answer = world.send(Source::FunctionUrl.event(&[body])).await;
    assert_eq!(status(&answer), 200, "{answer:?}");
    assert_eq!(world.texts().await, ["text of 1", "text of 3"]);
    let parked = world.parked();
    let mut bodies: Vec<Value> = parked
        .iter()
        .map(|one| serde_json::from_str(one["body"].as_str().unwrap()).unwrap())
        .collect();
    bodies.sort_by_key(|body| body.to_string().len());
    assert_eq!(bodies, [json!({"items": [bad_items[1]]}), json!({"items": [bad_items[0]]})]);
    let reasons: Vec<_> =
        parked.iter().map(|one| one["parked"]["reason"].as_str().unwrap()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("unknown action 77")), "{reasons:?}");
    assert!(reasons.contains(&"$.items[2].data: expected an object"), "{reasons:?}");
}

/// What is wrong is found out in two steps: decoding, and storing.
#[tokio::test]
async fn regression_an_item_that_fails_in_both_steps_is_parked_once() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Refuse("ValidationException")).await;
    let world = World::with(engine, &proxy.endpoint, true).await;
    let bad = |serial: &str| message(serial, &json!({"action": 77}));
    let item = |messages: &[Value]| {
        json!({"source": "channel.message",
               "data": {"channelId": "r::$chat", "messages": messages}})
    };
    let items = [item(&[bad("1"), message("2", &json!({}))]), item(&[bad("3")])];
    let body = json!({"items": items}).to_string().into_bytes();
    assert_eq!(status(&world.send(Source::FunctionUrl.event(&[body])).await), 200);
    let parked = world.parked();
    assert_eq!(parked.len(), 2, "{parked:#?}");
    let reasons: Vec<_> = parked.iter().map(|one| one["parked"]["reason"].to_string()).collect();
    let both = reasons.iter().find(|reason| reason.contains("ValidationException"));
    assert!(both.expect("the first item").contains("unknown action 77"), "{reasons:?}");
}

/// SQS refuses two characters that a message may hold.
#[tokio::test]
async fn content_cannot_keep_its_record_out_of_the_failure_queue() {
    let world = World::start().await;
    let text = "\u{fffe}\u{ffff}\u{1}\u{7f}🙂\"\\";
    let body = envelope(&message("1", &json!({"action": 77, "data": {"text": text}})));
    assert_well(Source::Kinesis, &world.send(Source::Kinesis.event(slice::from_ref(&body))).await);
    assert_eq!(world.parked()[0]["body"].as_str().unwrap().as_bytes(), body);
    let binary = b"\x82\xffnot MessagePack".to_vec();
    assert_well(Source::Kinesis, &world.send(Source::Kinesis.event(&[binary])).await);
    assert_eq!(world.parked()[1]["bodyBase64"], "gv9ub3QgTWVzc2FnZVBhY2s=");
}

/// A body as it lies in the failure queue, in whatever form.
fn body(parked: &[&Value]) -> Vec<u8> {
    let mut pieces = parked.to_vec();
    pieces.sort_by_key(|one| one["piece"]["number"].as_u64());
    let packed: String = pieces.iter().filter_map(|one| one["bodyGzip"].as_str()).collect();
    let packed = BASE64_STANDARD.decode(packed).expect("base64");
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut body).expect("gzip");
    body
}

/// Once wrapped and escaped, 256 KB of backslashes are more than SQS takes: the record came again
/// for ever, and its neighbours were parked each time.
#[tokio::test]
async fn regression_a_record_that_is_too_large_to_be_parked_as_text_is_parked_packed() {
    let data = json!({"text": "\\".repeat(256 * 1_024)});
    let large = envelope(&message("1", &json!({"action": 77, "data": data})));
    for source in Source::BATCHES {
        let world = World::start().await;
        let answer = world.send(source.event(&[bad("0"), large.clone(), bad("2")])).await;
        assert_well(source, &answer);
        let parked = world.parked();
        assert_eq!(parked.len(), 3, "{source:?}");
        let packed: Vec<_> = parked.iter().filter(|one| one.get("bodyGzip").is_some()).collect();
        assert_eq!((packed.len(), body(&packed) == large), (1, true), "{source:?}");
        assert_eq!(packed[0]["parked"]["recordId"], source.id(1));
        let replayed = world.send(redrive(&world).to_string()).await;
        assert_eq!(replayed, failures(&["record-0", "record-1", "record-2"]));
        let log = world.function.kill().await;
        let reasons = log.lines().filter(|line| line.contains("$.messages[0].action: unknown"));
        assert_eq!(reasons.count(), 6, "parked, and replayed as it came");
    }
}

#[tokio::test]
async fn regression_what_no_message_of_the_queue_holds_is_parked_in_pieces() {
    let world = World::start().await;
    let mut random = fastrand::Rng::with_seed(7);
    let noise = std::iter::once(b'x').chain(std::iter::repeat_with(|| random.u8(..)));
    let noise: Vec<u8> = noise.take(2_000_000).collect();
    let event = Source::Kinesis.event(&[noise.clone(), bad("2")]);
    assert_eq!(world.send(event).await, failures(&[]));
    let parked = world.parked();
    let pieces: Vec<_> = parked.iter().filter(|one| one.get("piece").is_some()).collect();
    assert_eq!((parked.len(), pieces.len()), (4, 3));
    assert!(body(&pieces) == noise);
    // Together, whatever their order, they are the record again.
    let mut records = redrive(&world)["Records"].as_array().cloned().expect("records");
    records.sort_by_key(|record| std::cmp::Reverse(record["body"].to_string().len()));
    for (records, count) in [(&records[..], 4), (&records[1..], 3)] {
        let answer = world.send(json!({"Records": records}).to_string()).await;
        let Answer::Response(answer) = answer else { panic!("{answer:?}") };
        let named = answer["batchItemFailures"].as_array().expect("a list").iter();
        let named: BTreeSet<_> = named.map(|one| one["itemIdentifier"].to_string()).collect();
        assert_eq!(named.len(), count, "{named:?}");
    }
    let log = world.function.kill().await;
    assert_eq!(
        log.matches("the event is not JSON: ").count(),
        2,
        "joined, it is what it was: {log}"
    );
    assert!(log.contains("of 3 of a record; the others were not in the same batch"), "{log}");
}

/// Parking used to read the whole batch once more for each of its items, and send them one by one.
#[tokio::test]
async fn regression_many_poison_items_are_parked_in_a_few_calls() {
    let world = World::start().await;
    let item = |number: usize| {
        json!({"source": "channel.message", "data": {"channelId": "r::$chat",
               "messages": [message(&number.to_string(), &json!({"action": 77}))]}})
    };
    let items: Vec<_> = (0..1_000).map(item).collect();
    let body = json!({"items": items}).to_string().into_bytes();
    assert_eq!(status(&world.send(Source::FunctionUrl.event(&[body])).await), 200);
    assert_eq!((world.parked().len(), world.services.queue_calls()), (1_000, 100));
    let batch: Vec<_> = (0..1_000).map(|number| bad(&number.to_string())).collect();
    assert_well(Source::Kinesis, &world.send(Source::Kinesis.event(&batch)).await);
    assert_eq!((world.parked().len(), world.services.queue_calls()), (2_000, 200));
}

#[tokio::test]
async fn what_the_queue_takes_in_part_is_not_parked_twice() {
    let world = World::start().await;
    world.services.set_queue_slow(true);
    let answer = world.send(Source::Kinesis.event(&["1", "2", "3"].map(bad))).await;
    assert_well(Source::Kinesis, &answer);
    assert_eq!((world.parked().len(), world.services.queue_calls()), (3, 3));
}

/// What comes again with a record that could not be parked was parked once for each attempt.
#[tokio::test]
async fn regression_neighbours_of_what_cannot_be_parked_are_not_parked_at_each_attempt() {
    for source in [Source::SqsFifo, Source::Kinesis, Source::Kafka] {
        let world = World::start().await;
        world.services.set_queue_slow(true);
        let batch: Vec<_> = (0..500).map(|number| bad(&number.to_string())).collect();
        let answer = world.send(source.event(&batch)).await;
        match source {
            Source::Kafka => assert_eq!(error(&answer).0, "NonRetryable"),
            _ => assert_ne!(answer, failures(&[])),
        }
        // Those that were on their way together: of each, three attempts took one each.
        assert!(world.parked().len() <= 8 * 3, "{source:?}: {}", world.parked().len());
    }
}

/// What is sent again from the failure queue: everything that gets there.
fn redrive(world: &World) -> Value {
    let records = world.services.messages();
    let records = records.iter().enumerate().map(|(index, text)| {
        let mut record = Source::Sqs.record(index, text.as_bytes());
        let queue = format!("arn:aws:sqs:eu-west-1:123456789012:{}", Services::QUEUE);
        record["eventSourceARN"] = json!(queue);
        record
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

#[tokio::test]
async fn the_failure_queue_is_replayed_and_keeps_what_is_still_bad() {
    let world = World::start().await;
    // What an earlier version could not store and this one can: here, by the filter of the rule.
    let parked = json!({"parked": {"source": "kinesis", "recordId": "k", "receivedAt": EPOCH,
        "parkedAt": EPOCH, "errorType": "NonRetryable", "reason": "x", "functionVersion": "1"},
        "body": String::from_utf8(good("1")).unwrap()});
    let failed: Value =
        serde_json::from_slice(&sample("deliveries/failed-invocation")).expect("JSON");
    let no_payload = json!({"requestContext": {"requestId": "r", "condition": "RetryAttemptsExhausted",
        "functionArn": "a", "approximateInvokeCount": 1}, "version": "1.0",
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

/// Who has no id of their own is not the same because they say the same: of a reaction that came,
/// went and came again, the third snapshot used to be lost.
#[tokio::test]
async fn regression_snapshots_without_a_delivery_id_are_kept_each() {
    let (services, api) = (Services::start().await, RuntimeApi::start().await);
    for source in [Source::FunctionUrl, Source::RabbitMq] {
        let engine = Engine::start().await;
        let env = [engine.env(), services.env()].concat();
        let settings = [("REACTIONS", "snapshots"), ("WEBHOOK_TOKEN", TOKEN)];
        let _function = spawn(&api, &env, &settings);
        let bodies = [1, 0, 1].map(|total| reactions("1", total));
        let nameless = |event: &[u8], number: usize| {
            let mut event: Value = serde_json::from_slice(event).expect("JSON");
            if let Some(messages) = event.pointer_mut("/rmqMessagesByQueue/chat::~1") {
                for message in messages.as_array_mut().expect("messages") {
                    message["basicProperties"]["messageId"] = json!(null);
                }
            } else {
                event["requestContext"]["requestId"] = json!(format!("request-{number}"));
            }
            event.to_string()
        };
        for (number, body) in bodies.iter().enumerate() {
            let event = nameless(&source.event(slice::from_ref(body)), number);
            assert_well(source, &api.invoke(event, TIMEOUT).await);
        }
        let mut expected = 3;
        if source == Source::RabbitMq {
            assert_well(source, &api.invoke(nameless(&source.event(&bodies), 0), TIMEOUT).await);
            expected += 3;
        }
        let [_, _, _, snapshots] = common::count_rows(&engine).await;
        assert_eq!(snapshots, expected, "{source:?}");
    }
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

/// The webhook's answer comes before Ably stops waiting for it, whatever the function's time-out.
#[tokio::test]
async fn a_webhook_is_answered_within_the_time_that_ably_waits() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Delay(60_000)).await;
    let world = World::with(engine, &proxy.endpoint, true).await;
    let event = Source::FunctionUrl.event(&[good("1")]);
    let answer = world.api.invoke(event, Duration::from_secs(900));
    let answer = tokio::time::timeout(Duration::from_secs(25), answer).await;
    assert_eq!(status(&answer.expect("an answer in time")), 503);
}

/// The same history through two sources at once, each in an order of its own.
async fn two_ways_and_compare(ways: [Vec<Delivery>; 2], sources: [Source; 2]) {
    let world = World::start().await;
    let mut model = Model::default();
    let mut answers = Vec::new();
    let [mut one, mut two] = ways.map(Vec::into_iter);
    loop {
        let next = [(one.next(), sources[0]), (two.next(), sources[1])];
        if next.iter().all(|(delivery, _)| delivery.is_none()) {
            break;
        }
        for (delivery, source) in next {
            let Some(delivery) = delivery else { continue };
            answers.push((source, world.api.invoke(source.event(&[delivery.body()]), TIMEOUT)));
            delivery.ops.iter().for_each(|op| model.arrive(op, 0));
        }
    }
    for (source, answer) in answers {
        assert_well(source, &answer.await);
    }
    let settings = Settings::default();
    let store = common::ingest(&world.engine, settings).store;
    common::check(&store, &model, settings.versions).await;
    let [messages, versions, reactions, _] = common::count_rows(&world.engine).await;
    assert_eq!([messages, versions, reactions], model.rows(settings.versions));
    assert_eq!(world.parked(), Vec::<Value>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn two_sources_at_once_do_not_show(
        ways in common::history().prop_map(common::ordered_by_version).prop_flat_map(|history| {
            [common::deliveries(history.clone()), common::deliveries(history)]
        }),
        first in 0..Source::ALL.len(),
        second in 0..Source::ALL.len(),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let sources = [Source::ALL[first], Source::ALL[second]];
        runtime.block_on(two_ways_and_compare(ways, sources));
    }
}
