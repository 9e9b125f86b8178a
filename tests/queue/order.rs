//! The order of arrival outlives failures.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ably_chat_exporter::config::QueueConfig;
use ably_chat_exporter::queue::{Consumer, Options, Status, serve};
use ably_chat_exporter::setup;
use testkit::{Broker, Engine, Fault, FaultProxy, Services};
use tokio_util::sync::CancellationToken;

use crate::common::sdk;
use crate::messages::{message, reactions, summary};
use crate::process::{Process, figure, until};
use crate::rabbit::{publish, publisher, until_empty};

/// The order of arrival outlives failures: a summary that failed came again after a newer one that
/// was in hand already, and replaced it.
#[tokio::test(flavor = "multi_thread")]
async fn regression_an_old_summary_does_not_replace_a_newer_one_in_hand() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let first_fails = |put| if put == 0 { Fault::Throttle } else { Fault::None };
    let proxy = FaultProxy::of_rows(&engine.endpoint, first_fails).await;
    let (_connection, channel) = publisher(&broker).await;
    publish(&broker, &channel, &[summary(1), summary(2)]).await;
    let settings = [("PREFETCH", "2")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    until_empty(&broker).await;
    assert_eq!(reactions(&engine).await, "2");
    assert!(process.stop().await.0.success());
}

/// What is not stored in time goes back to its place, with what is behind it in its row; what is
/// stored does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_long_outage_keeps_out_goes_back_in_its_order() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    // The row of reactions alone cannot be written, until it has gone back.
    let is_down = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_down);
    let proxy = FaultProxy::of_rows(&engine.endpoint, move |put| {
        if put > 0 && switch.load(Ordering::SeqCst) { Fault::Internal } else { Fault::None }
    })
    .await;
    let (_connection, channel) = publisher(&broker).await;
    let bodies = [message(0, "hello"), summary(1), summary(2)];
    publish(&broker, &channel, &bodies).await;
    let env: HashMap<String, String> = testkit::env(&proxy.endpoint)
        .into_iter()
        .chain(services.env())
        .chain([("ABLY_QUEUE_URL".to_owned(), broker.url.clone())])
        .chain([("ABLY_QUEUE".to_owned(), broker.queue())])
        .chain(
            [("ROOM_INDEX", "off"), ("VERSIONS", "all"), ("PREFETCH", "4")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
        .collect();
    let config = QueueConfig::read(|name| env.get(name).cloned(), false).expect("settings");
    let sdk = sdk(&proxy.endpoint);
    let options = Options {
        address: config.address,
        queues: config.queues,
        prefetch: config.prefetch,
        patience: Duration::from_secs(1),
    };
    let ingest = setup::ingest(config.config, &sdk).await.expect("it starts");
    let status = Status::new();
    let address = serve(config.http_address, &status).await.expect("a free port").to_string();
    let consumer = Consumer::new(ingest, options, status);
    let stop = CancellationToken::new();
    let stopped = async {
        let requeued = "ably_chat_queue_requeued_total";
        until("a second return", async || figure(&address, requeued).await > 3.5).await;
        is_down.store(false, Ordering::SeqCst);
        until_empty(&broker).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(consumer.run(&stop), stopped);
    assert_eq!(ended, Ok(()));
    let rows = engine.rows().await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    let text = format!("{rows:?}");
    assert!(text.contains("\"total\": N(\"2\")"), "{text}");
}
