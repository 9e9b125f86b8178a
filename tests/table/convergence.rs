//! Same set of versions in, same table out: any order, any duplicates, any cut into payloads.

use std::collections::BTreeSet;
use std::time::Duration;

use ably_chat_exporter::ingest::Record;
use ably_chat_exporter::store::{KeepReactions, KeepVersions, Settings};
use proptest::prelude::*;
use testkit::Engine;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::common::{self, Delivery, Model, Op, OpKind, histories, reading};

fn settings() -> impl Strategy<Value = Settings> {
    let versions =
        prop_oneof![Just(KeepVersions::Both), Just(KeepVersions::Latest), Just(KeepVersions::All)];
    let reactions = prop_oneof![
        Just(KeepReactions::Latest),
        Just(KeepReactions::Snapshots),
        Just(KeepReactions::None)
    ];
    (versions, reactions).prop_map(|(versions, reactions)| Settings {
        versions,
        reactions,
        ..Settings::default()
    })
}

/// What the model takes in: with `REACTIONS=none`, no summary ever arrives.
fn heard(op: &Op, reactions: KeepReactions) -> Option<Op> {
    match (&op.kind, reactions) {
        (OpKind::Summary(_), KeepReactions::None) => None,
        (OpKind::Version(action, _), KeepReactions::None) => {
            Some(Op { kind: OpKind::Version(*action, None), ..op.clone() })
        }
        (_, KeepReactions::Latest | KeepReactions::Snapshots) => Some(op.clone()),
    }
}

/// The snapshots that must be kept: each observation once, however often its delivery came.
fn snapshots(deliveries: &[Delivery]) -> usize {
    let mut seen = BTreeSet::new();
    for delivery in deliveries {
        for (index, op) in delivery.ops.iter().enumerate() {
            if !matches!(op.kind, OpKind::Version(_, None | Some(0))) {
                seen.insert((&delivery.id, index));
            }
        }
    }
    seen.len()
}

async fn arrive_and_compare(deliveries: &[Delivery], settings: Settings, records_at_once: usize) {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, settings);
    let mut model = Model::default();
    for invocation in deliveries.chunks(records_at_once) {
        let bodies: Vec<_> = invocation.iter().map(|d| (d, d.body())).collect();
        let records = bodies.iter().map(|(delivery, body)| Record {
            id: &delivery.id,
            body,
            received_at: delivery.received_at,
            is_redelivery: false,
        });
        let records: Vec<_> = records.collect();
        let deadline = Instant::now() + Duration::from_secs(30);
        for (report, delivery) in
            ingest.store_records(&records, deadline).await.iter().zip(invocation)
        {
            assert_eq!(report.failed, []);
            let skipped: u64 = report.skipped.values().sum();
            assert_eq!(report.received, delivery.ops.len() as u64);
            assert_eq!(report.stored + report.superseded + skipped, report.received);
        }
        for delivery in invocation {
            let ops = delivery.ops.iter().filter_map(|op| heard(op, settings.reactions));
            ops.for_each(|op| model.arrive(&op, delivery.received_at));
        }
    }
    reading::check(&ingest.store, &model, settings.versions).await;
    let [messages, versions, reactions, found_snapshots] = reading::count_rows(&engine).await;
    assert_eq!([messages, versions, reactions], model.rows(settings.versions));
    let expected = match settings.reactions {
        KeepReactions::Snapshots => snapshots(deliveries),
        KeepReactions::Latest | KeepReactions::None => 0,
    };
    assert_eq!(found_snapshots, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn order_duplicates_and_cuts_do_not_show(
        deliveries in histories::history().prop_flat_map(histories::deliveries),
        settings in settings(),
        records_at_once in 1..4_usize,
    ) {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(arrive_and_compare(&deliveries, settings, records_at_once));
    }
}
