//! Memory stays flat, whatever comes.

use testkit::{Broker, Engine, Fault, FaultProxy, Services};

use crate::messages::{message, rows};
use crate::process::{Process, until};
use crate::rabbit::{EMPTY, depth, publish, publisher, until_empty};

/// A table that takes its time: the broker keeps what has not been stored, not the consumer.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_slows_the_consumer_and_memory_stays_flat() {
    const PREFETCH: u64 = 100;
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Delay(300)).await;
    let (_connection, channel) = publisher(&broker).await;
    let text = "x".repeat(20_000);
    let bodies: Vec<_> = (0..3_000).map(|number| message(number, &text)).collect();
    publish(&broker, &channel, &bodies).await;
    let settings = [("PREFETCH", "100"), ("VERSIONS", "latest")];
    let spawn = async || Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    // Two of them share the queue.
    let (one, two) = (spawn().await, spawn().await);
    until_empty_of(&broker, 2 * PREFETCH).await;
    assert_eq!(rows(&engine).await, 3_000);
    for process in [one, two] {
        let (stored, _) = process.figures("ably_chat_queue_stored_total").await;
        assert!(stored > 300.0, "both had their share: {stored}");
        let memory = process.memory_mb();
        assert!(memory < 64, "{memory} MB, of 60 MB that went through");
        assert!(process.stop().await.0.success());
    }
}

async fn until_empty_of(broker: &Broker, most: u64) {
    until("an empty queue", async || {
        let depth = depth(broker, &broker.queue()).await;
        assert!(depth.unacknowledged <= most, "{depth:?}");
        depth == EMPTY
    })
    .await;
}

/// A thousand messages of 250 KB, and others before that make the consumer expect small ones.
#[tokio::test(flavor = "multi_thread")]
async fn regression_memory_is_counted_in_bytes_and_not_in_messages() {
    const BIG: usize = 1_000;
    const SMALL: usize = 3_000;
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let (_connection, channel) = publisher(&broker).await;
    let small: Vec<_> = (0..SMALL).map(|number| message(number, "hello")).collect();
    publish(&broker, &channel, &small).await;
    let text = "x".repeat(250_000);
    for number in (SMALL..SMALL + BIG).step_by(100) {
        let big: Vec<_> = (number..number + 100).map(|number| message(number, &text)).collect();
        publish(&broker, &channel, &big).await;
    }
    let settings = [("VERSIONS", "latest")];
    let process = Process::spawn(&broker, &engine.endpoint, &services, &settings, &[]).await;
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, SMALL + BIG);
    let memory = process.memory_mb();
    assert!(memory < 200, "{memory} MB");
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
}
