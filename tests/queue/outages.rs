//! A table that fails, or takes little.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Broker, Capacity, Depth, Engine, Fault, FaultProxy, Services};
use tokio::process::Command;

use crate::common::EPOCH;
use crate::messages::{message, rows};
use crate::process::{BINARY, Process, until};
use crate::rabbit::{depth, publish, publisher, until_empty};

/// Half a minute without a table: nothing is lost, nothing turns in circles, and it shows.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_is_waited_out() {
    const OUTAGE: Duration = Duration::from_secs(30);
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let is_down = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_down);
    let proxy = FaultProxy::of_rows(&engine.endpoint, move |_| {
        if switch.load(Ordering::SeqCst) { Fault::Throttle } else { Fault::None }
    })
    .await;
    let (_connection, channel) = publisher(&broker).await;
    let bodies: Vec<_> = (0..200).map(|number| message(number, "hello")).collect();
    publish(&broker, &channel, &bodies).await;
    let settings = [("PREFETCH", "20"), ("VERSIONS", "all")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    let started = Instant::now();
    until("the end of the outage", async || {
        let Depth { ready, unacknowledged } = depth(&broker, &broker.queue()).await;
        assert_eq!(ready + unacknowledged, 200, "nothing is acknowledged");
        assert!(unacknowledged <= 20, "{unacknowledged} in hand");
        started.elapsed() > OUTAGE
    })
    .await;
    let attempts = proxy.requests();
    assert!(attempts < 20 * 20, "{attempts} attempts in half a minute");

    // regression: /healthz said nothing of it, and each attempt wrote a line for each message.
    let health = process.health().await;
    assert_eq!(health["store"], "failing", "{health}");
    assert_eq!(health["lastStored"], Value::Null);
    let reason = health["reason"].as_str().expect("a reason");
    assert!(reason.contains("ThrottlingException"), "{reason}");
    assert!(health["failingSince"].as_i64() > Some(EPOCH / 1_000), "{health}");
    let (failing, is_well) = process.figures("ably_chat_queue_store_failing").await;
    assert!(failing > 0.5 && is_well, "to replace the consumer would not help");
    let check = Command::new(BINARY).arg("--check").env("HTTP_ADDRESS", &process.address).output();
    let check = check.await.expect("it runs");
    assert!(check.status.success());
    assert!(String::from_utf8_lossy(&check.stdout).contains("\"store\":\"failing\""));
    let log = process.log();
    let complaints = log.matches("the table takes no messages; trying again").count();
    assert!((1..=3).contains(&complaints), "{log}");
    assert_eq!(log.matches("\"ERROR\"").count(), complaints, "{log}");

    is_down.store(false, Ordering::SeqCst);
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, 200);
    let health = process.health().await;
    assert_eq!(health["store"], "ok", "{health}");
    assert!(health["lastStored"].as_i64() > Some(EPOCH / 1_000), "{health}");
    let (requeued, _) = process.figures("ably_chat_queue_requeued_total").await;
    assert!(requeued < 0.5, "half a minute is borne: {requeued}");
    let (status, _) = process.stop().await;
    assert!(status.success());
}

/// A table of 150 writes a second: one failure used to hand back everything behind it, stored or
/// not, and to write all of that again took what there was to take.
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_throttling_table_gets_what_it_takes_and_nothing_twice() {
    const MESSAGES: usize = 600;
    const PUTS: u64 = 2 * MESSAGES as u64;
    const RATE: f64 = 150.0;
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let capacity = Capacity::new(RATE);
    let table = Arc::clone(&capacity);
    let proxy = FaultProxy::of_rows(&engine.endpoint, move |_| table.fault()).await;
    let (_connection, channel) = publisher(&broker).await;
    let bodies: Vec<_> = (0..MESSAGES).map(|number| message(number, "hello")).collect();
    publish(&broker, &channel, &bodies).await;
    let settings = [("AWS_MAX_ATTEMPTS", "10")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    until("a write", async || capacity.admitted() > 0).await;
    let started = Instant::now();
    until("all rows", async || capacity.admitted() >= PUTS).await;
    let (took, ideal) = (started.elapsed().as_secs_f64(), PUTS as f64 / RATE);
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, 2 * MESSAGES);
    assert_eq!(capacity.admitted(), PUTS, "nothing is written twice");
    let attempts = proxy.requests();
    assert!(attempts < 3 * PUTS, "{attempts} attempts");
    assert!(took < 1.5 * ideal, "{took} s instead of {ideal}");
    assert!(process.stop().await.0.success());
}
