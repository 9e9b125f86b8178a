//! One history through the queue and through the function at once.

use ably_chat_exporter::store::{KeepVersions, Settings};
use proptest::prelude::*;
use testkit::{Answer, Broker, Engine, RuntimeApi, Services};

use crate::common::function::TIMEOUT;
use crate::common::{self, Delivery, Model, histories, reading};
use crate::process::Process;
use crate::rabbit::{EMPTY, depth, publish, publisher, until_empty};

/// The same history through the queue and through the function at once, each in an order of its
/// own.
async fn two_ways_and_compare(broker: &Broker, ways: [Vec<Delivery>; 2]) {
    let (engine, services, api) =
        (Engine::start().await, Services::start().await, RuntimeApi::start().await);
    let (_connection, channel) = publisher(broker).await;
    let _function = common::function::spawn(&api, &engine.env(), &[]);
    let process = Process::spawn(broker, &engine.endpoint, &services, &[], &[]).await;
    let mut model = Model::default();
    let [queued, invoked] = ways;
    let bodies: Vec<_> = queued.iter().map(Delivery::body).collect();
    let answers: Vec<_> =
        invoked.iter().map(|delivery| api.invoke(delivery.body(), TIMEOUT)).collect();
    publish(broker, &channel, &bodies).await;
    for op in queued.iter().chain(&invoked).flat_map(|delivery| &delivery.ops) {
        model.arrive(op, 0);
    }
    for answer in answers {
        assert!(matches!(answer.await, Answer::Response(_)));
    }
    until_empty(broker).await;
    assert!(process.stop().await.0.success());
    let settings = Settings::default();
    let store = common::ingest(&engine, settings).store;
    reading::check(&store, &model, KeepVersions::Both).await;
    let [messages, versions, reactions, _] = reading::count_rows(&engine).await;
    assert_eq!([messages, versions, reactions], model.rows(settings.versions));
    assert_eq!(depth(broker, &broker.dead_letters()).await, EMPTY);
}

/// One broker for all cases; what proptest draws, each run draws anew.
#[test]
fn the_queue_and_the_function_at_once_do_not_show() {
    let broker = Broker::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ways =
        histories::history().prop_map(histories::ordered_by_version).prop_flat_map(|history| {
            [histories::deliveries(history.clone()), histories::deliveries(history)]
        });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 8,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&ways, |ways| {
        runtime.block_on(two_ways_and_compare(&broker, ways));
        Ok(())
    });
    outcome.expect("the table is what the history says");
}
