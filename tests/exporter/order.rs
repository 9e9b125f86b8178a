//! Order within a batch and over batches: the last reactions win, and each is kept.

use std::slice;

use serde_json::{Value, json};
use testkit::{Engine, Fault, FaultProxy, RuntimeApi, Services};

use crate::common::function::{TIMEOUT, spawn};
use crate::common::reading;
use crate::common::sources::{Source, TOKEN};
use crate::world::{World, assert_well, bad, failures, good, reactions, total};

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
        let [_, _, _, snapshots] = reading::count_rows(&engine).await;
        assert_eq!(snapshots, expected, "{source:?}");
    }
}
