//! Permanent failures never stop the consumer.

use std::collections::BTreeSet;

use serde_json::Value;
use testkit::{Broker, Engine, Services};
use tokio::process::Command;

use crate::common::function::sample;
use crate::messages::{message, rows};
use crate::process::{BINARY, Process, until};
use crate::rabbit::{EMPTY, depth, publish, publisher, until_empty};

/// What does not belong among good messages: four that fail permanently, two to skip.
fn strange() -> Vec<Vec<u8>> {
    let names = ["not-enveloped", "before-publish", "unknown-action", "presence", "typing"];
    names.map(sample).into_iter().chain([b"not JSON".to_vec()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_never_stops_the_consumer() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let (_connection, channel) = publisher(&broker).await;
    let json: Value = serde_json::from_slice(&message(2, "packed")).expect("JSON");
    let packed = rmp_serde::to_vec(&json).expect("MessagePack");
    let bodies =
        || [vec![message(0, "a")], strange(), vec![packed.clone(), message(1, "b")]].concat();

    // Without a failure queue, Ably's own keeps what is wrong.
    publish(&broker, &channel, &bodies()).await;
    let spawn = async |settings: &[(&str, &str)], flags: &[&str]| {
        Process::spawn(&broker, &engine.endpoint, &services, settings, flags).await
    };
    let process = spawn(&[], &[]).await;
    until("four dead letters", async || depth(&broker, &broker.dead_letters()).await.ready == 4)
        .await;
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, 6);
    let (stored, is_well) = process.figures("ably_chat_queue_stored_total").await;
    assert!((stored - 3.0).abs() < 0.5 && is_well, "{stored}");
    let (rejected, _) = process.figures("ably_chat_queue_rejected_total").await;
    assert!((rejected - 4.0).abs() < 0.5, "{rejected}");
    let check = Command::new(BINARY).arg("--check").env("HTTP_ADDRESS", &process.address).status();
    assert!(check.await.expect("it runs").success());
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
    assert!(log.contains("Ably moves it to its own queue of dead letters"), "{log}");
    for reason in ["turn on \\\"Enveloped\\\"", "before-publish", "unknown action 9", "not JSON"] {
        assert!(log.contains(reason), "{reason} in {log}");
    }
    assert!(!log.contains("Hello") && !log.contains("guest:guest"), "{log}");

    // With one, it is parked, and dead letters can be consumed too.
    let queue = services.queue_url();
    let settings = [("FAILURE_QUEUE_URL", queue.as_str())];
    publish(&broker, &channel, &bodies()).await;
    services.set_queue_down(true);
    let process = spawn(&settings, &["--dead-letters"]).await;
    until("a second try", async || process.figures("ably_chat_queue_requeued_total").await.0 > 8.0)
        .await;
    services.set_queue_down(false);
    until("eight parked", async || services.messages().len() >= 8).await;
    until_empty(&broker).await;
    until("no dead letters", async || depth(&broker, &broker.dead_letters()).await == EMPTY).await;
    assert_eq!(rows(&engine).await, 6);
    let parked: BTreeSet<String> = services
        .messages()
        .iter()
        .map(|text| serde_json::from_str::<Value>(text).expect("JSON")["body"].to_string())
        .collect();
    assert_eq!(parked.len(), 4, "each kind, and nothing else");
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
}
