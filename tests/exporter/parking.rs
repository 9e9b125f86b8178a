//! Parking: permanent failures alone, once each, and in few calls.

use std::slice;

use serde_json::{Value, json};
use testkit::{Engine, Fault, FaultProxy};

use crate::common::EPOCH;
use crate::common::function::error;
use crate::common::sources::Source;
use crate::world::{World, assert_well, bad, envelope, failures, message, status};

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
