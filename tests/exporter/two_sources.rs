//! One history through two event sources at once.

use ably_chat_exporter::store::Settings;
use proptest::prelude::*;
use serde_json::Value;

use crate::common::function::TIMEOUT;
use crate::common::sources::Source;
use crate::common::{self, Delivery, Model, histories, reading};
use crate::world::{World, assert_well};

/// The same history through two sources at once, each in an order of its own.
async fn two_ways_and_compare(ways: [Vec<Delivery>; 2], sources: [Source; 2]) {
    let world = World::start().await;
    let mut model = Model::default();
    let mut answers = Vec::new();
    let [mut one, mut two] = ways.map(Vec::into_iter);
    loop {
        let next = [(one.next(), sources[0]), (two.next(), sources[1])];
        if next.iter().all(|(delivery, _)| delivery.is_none()) {
            break;
        }
        for (delivery, source) in next {
            let Some(delivery) = delivery else { continue };
            answers.push((source, world.api.invoke(source.event(&[delivery.body()]), TIMEOUT)));
            delivery.ops.iter().for_each(|op| model.arrive(op, 0));
        }
    }
    for (source, answer) in answers {
        assert_well(source, &answer.await);
    }
    let settings = Settings::default();
    let store = common::ingest(&world.engine, settings).store;
    reading::check(&store, &model, settings.versions).await;
    let [messages, versions, reactions, _] = reading::count_rows(&world.engine).await;
    assert_eq!([messages, versions, reactions], model.rows(settings.versions));
    assert_eq!(world.parked(), Vec::<Value>::new());
}

/// One history, delivered twice.
fn two_ways() -> impl Strategy<Value = [Vec<Delivery>; 2]> {
    histories::history().prop_map(histories::ordered_by_version).prop_flat_map(|history| {
        [histories::deliveries(history.clone()), histories::deliveries(history)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn two_sources_at_once_do_not_show(
        ways in two_ways(),
        first in 0..Source::ALL.len(),
        second in 0..Source::ALL.len(),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let sources = [Source::ALL[first], Source::ALL[second]];
        runtime.block_on(two_ways_and_compare(ways, sources));
    }
}
