//! The function under SIGKILL.

use std::sync::Arc;

use ably_chat_exporter::store::{KeepVersions, Settings};
use proptest::prelude::*;
use serde_json::json;
use testkit::{Answer, Engine, Fault, FaultProxy, RuntimeApi};
use tokio::sync::Notify;

use crate::common::function::{TIMEOUT, spawn};
use crate::common::{self, Model, histories, reading};

/// Runs the deliveries through the function, killing it each time the table has been asked as
/// often as `kills` say, and delivering again what was in flight.
async fn crash_and_compare(deliveries: Vec<common::Delivery>, kills: Vec<u64>) {
    let engine = Engine::start().await;
    let api = RuntimeApi::start().await;
    let kill = Arc::new(Notify::new());
    let ring = Arc::clone(&kill);
    let proxy = FaultProxy::start(&engine.endpoint, move |request| {
        if kills.contains(&request) {
            ring.notify_one();
        }
        Fault::None
    })
    .await;
    let env = testkit::env(&proxy.endpoint);
    let mut function = spawn(&api, &env, &[]);
    let mut model = Model::default();
    let mut answers = Vec::new();
    for delivery in &deliveries {
        answers.push(api.invoke(delivery.body(), TIMEOUT));
        delivery.ops.iter().for_each(|op| model.arrive(op, 0));
    }
    let mut answered = std::pin::pin!(async {
        for answer in answers {
            let Answer::Response(report) = answer.await else { panic!("an error") };
            assert_eq!(report["failed"], json!([]));
        }
    });
    loop {
        tokio::select! {
            () = &mut answered => break,
            () = kill.notified() => {
                function.kill().await;
                api.redeliver();
                function = spawn(&api, &env, &[]);
            }
        }
    }
    let store = common::ingest(&engine, Settings::default()).store;
    reading::check(&store, &model, KeepVersions::Both).await;
    let [messages, versions, reactions, _] = reading::count_rows(&engine).await;
    assert_eq!([messages, versions, reactions], model.rows(KeepVersions::Both));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn crashes_do_not_show(
        deliveries in histories::history()
            .prop_map(histories::ordered_by_version)
            .prop_flat_map(histories::deliveries),
        kills in proptest::collection::vec(0..40_u64, 1..6),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(crash_and_compare(deliveries, kills));
    }
}
