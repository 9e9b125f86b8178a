//! SIGTERM: what is in flight is finished, the rest goes back.

use testkit::{Broker, Depth, Engine, Fault, FaultProxy, Services};

use crate::messages::{message, rows};
use crate::process::{Process, until};
use crate::rabbit::{depth, publish, publisher};

/// SIGTERM in the middle of a batch: what is in flight is stored and acknowledged, the rest stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_what_is_in_flight() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Delay(1_000)).await;
    let (_connection, channel) = publisher(&broker).await;
    publish(
        &broker,
        &channel,
        &(0..500).map(|number| message(number, "hello")).collect::<Vec<_>>(),
    )
    .await;
    let settings = [("PREFETCH", "40"), ("VERSIONS", "all")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    until("writes", async || proxy.requests() >= 20).await;
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
    let stored = rows(&engine).await as u64;
    assert!(stored >= 20, "{stored}");
    until("what was given back", async || {
        depth(&broker, &broker.queue()).await.unacknowledged == 0
    })
    .await;
    assert_eq!(depth(&broker, &broker.queue()).await.ready, 500 - stored);
}

/// SIGTERM while a table fails used to abort: the wish to stop was waited for twice.
#[tokio::test(flavor = "multi_thread")]
async fn regression_sigterm_during_an_outage_ends_with_success() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let proxy = FaultProxy::of_rows(&engine.endpoint, |_| Fault::Throttle).await;
    let (_connection, channel) = publisher(&broker).await;
    publish(&broker, &channel, &[message(0, "hello"), message(1, "hello")]).await;
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &[], &[]).await;
    until("writes", async || proxy.requests() > 3).await;
    let (status, log) = process.stop().await;
    assert!(status.success(), "{status} {log}");
    assert!(log.contains("\"stopped\""), "{log}");
    until("what was given back", async || {
        depth(&broker, &broker.queue()).await == Depth { ready: 2, unacknowledged: 0 }
    })
    .await;
}

/// The same while what cannot be parked waits to go back to the queue.
#[tokio::test(flavor = "multi_thread")]
async fn regression_sigterm_during_an_outage_of_the_failure_queue_ends_with_success() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    services.set_queue_down(true);
    let (_connection, channel) = publisher(&broker).await;
    publish(&broker, &channel, &[b"not JSON".to_vec(), message(0, "hello")]).await;
    let queue = services.queue_url();
    let settings = [("FAILURE_QUEUE_URL", queue.as_str()), ("VERSIONS", "all")];
    let process = Process::spawn(&broker, &engine.endpoint, &services, &settings, &[]).await;
    until("an attempt", async || process.figures("ably_chat_queue_requeued_total").await.0 > 2.5)
        .await;
    let (status, log) = process.stop().await;
    assert!(status.success(), "{status} {log}");
    assert_eq!(rows(&engine).await, 1, "the neighbour of what cannot be parked is stored");
    until("what was given back", async || {
        depth(&broker, &broker.queue()).await == Depth { ready: 1, unacknowledged: 0 }
    })
    .await;
}
