//! Crashes of the consumer and of the broker.

use testkit::{Broker, Engine, Fault, FaultProxy, Services};

use crate::messages::{message, rows};
use crate::process::{Process, until};
use crate::rabbit::{EMPTY, depth, publish, publisher, until_empty};

/// Twenty thousand messages, some of them twice; the broker is restarted twice and the consumer
/// killed five times on the way. Whatever the broker no longer has is in the table, at every time.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_of_either_side_lose_nothing() {
    const MESSAGES: usize = 20_000;
    const EVERY: usize = 10;
    let mut broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let proxy = FaultProxy::of_rows(&engine.endpoint, |_| Fault::None).await;
    let mut bodies: Vec<_> = (0..MESSAGES).map(|number| message(number, "hello")).collect();
    let twice: Vec<_> = bodies.iter().step_by(EVERY).cloned().collect();
    let (published, duplicates) = (MESSAGES + twice.len(), twice.len());
    bodies.splice(MESSAGES / 2..MESSAGES / 2, twice);
    let (connection, channel) = publisher(&broker).await;
    publish(&broker, &channel, &bodies).await;
    connection.close(200, "done".into()).await.expect("closed");

    let settings = [("FAILURE_QUEUE_URL", services.queue_url()), ("VERSIONS", "all".into())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let spawn = async |broker: &Broker| {
        Process::spawn(broker, &proxy.endpoint, &services, &settings, &[]).await
    };
    let mut process = spawn(&broker).await;
    for (number, restarts_broker) in
        [false, true, false, false, true, false, false].into_iter().enumerate()
    {
        let goal = 2_500 * (number as u64 + 1);
        until("progress", async || proxy.requests() >= goal).await;
        if restarts_broker {
            // Somebody else's broker is not ours to restart.
            if broker.is_own() {
                broker.restart();
            }
            continue;
        }
        process.crash().await;
        let left = depth(&broker, &broker.queue()).await;
        let acknowledged =
            published - usize::try_from(left.ready + left.unacknowledged).expect("few");
        let stored = rows(&engine).await;
        assert!(
            stored + duplicates >= acknowledged,
            "{acknowledged} acknowledged, {stored} stored"
        );
        process = spawn(&broker).await;
    }
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, MESSAGES);
    assert_eq!(depth(&broker, &broker.dead_letters()).await, EMPTY);
    assert_eq!(services.messages(), Vec::<String>::new());
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
    assert!(log.contains("\"stopped\""), "{log}");
}
