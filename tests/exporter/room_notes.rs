//! Notes of rooms, as the function takes them.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, Engine, Fault, FaultProxy, Item, RuntimeApi, Services};
use tokio::time::Instant;

use crate::common::function::{run, sample, spawn};
use crate::common::sources::{Source, TOKEN};

/// A throttled note used to hold stored messages until the deadline.
#[tokio::test]
async fn regression_notes_that_are_not_answered_hold_nothing_up() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start_by_operation(&engine.endpoint, |_, operation| match operation {
        "UpdateItem" => Fault::Hang,
        _ => Fault::None,
    });
    let proxy = proxy.await;
    let (services, api) = (Services::start().await, RuntimeApi::start().await);
    let env = [testkit::env(&proxy.endpoint), services.env()].concat();
    let queue = services.queue_url();
    let settings =
        [("ROOM_INDEX", "on"), ("WEBHOOK_TOKEN", TOKEN), ("FAILURE_QUEUE_URL", queue.as_str())];
    let function = spawn(&api, &env, &settings);
    let item = |serial: &str, action: u64| {
        json!({"source": "channel.message", "data": {"channelId": "r::$chat", "messages": [
            {"name": "chat.message", "serial": serial, "action": action, "data": {"text": "x"}}]}})
    };
    let body = json!({"items": [item("1", 0), item("2", 77)]}).to_string().into_bytes();
    let started = Instant::now();
    let Answer::Response(answer) =
        api.invoke(Source::FunctionUrl.event(&[body]), Duration::from_secs(60)).await
    else {
        panic!("an error")
    };
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(services.messages().len(), 1, "the poison item is parked");
    assert_eq!(engine.rows().await.len(), 2);
    let log = function.kill().await;
    assert!(log.contains("room not noted in the index of rooms"), "{log}");
}

#[tokio::test]
async fn the_function_notes_rooms_unless_it_is_told_not_to() {
    for (setting, expected) in [("", 1), ("on", 1), ("off", 0)] {
        let engine = Engine::start().await;
        run(&engine, &[("ROOM_INDEX", setting)], &[sample("create")]).await;
        let rows = engine.rows().await;
        let is_note = |row: &&Item| row["sk"].as_s().is_ok_and(|sk| sk.starts_with("room#"));
        assert_eq!(rows.iter().filter(is_note).count(), expected, "{setting}");
    }
}
