//! The fast path: new rows inserted, many in one request, leave what puts leave, whatever they
//! hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ably_chat_exporter::chat::Action;
use ably_chat_exporter::ingest::{Record, Report, Sink};
use ably_chat_exporter::store::{BulkInserts, KeepReactions, KeepVersions, Settings, Store};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::{Engine, Fault, FaultProxy, Item};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::common::{self, Delivery, EPOCH, Op, OpKind, histories};

/// What PartiQL, JSON or a format string could take for its own.
const HOSTILE: &str = "'\"?}{\\\n\t\u{0}`; -- /* $1 ':x'] <<>> é🙂";

fn create(message: u32) -> Op {
    Op { room: 0, message, version: 0, kind: OpKind::Version(Action::Create, None) }
}

fn delivery(ops: impl Iterator<Item = Op>) -> Vec<u8> {
    Delivery { id: "d".into(), received_at: EPOCH, ops: ops.collect() }.body()
}

/// A proxy that counts requests to insert, and puts.
async fn counting(engine: &Engine) -> (FaultProxy, Arc<[AtomicU64; 2]>) {
    let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let counted = Arc::clone(&counts);
    let proxy = FaultProxy::start_by_operation(&engine.endpoint, move |_, operation| {
        let kind = usize::from(operation != "BatchExecuteStatement");
        counted[kind].fetch_add(1, Ordering::SeqCst);
        Fault::None
    });
    (proxy.await, counts)
}

fn count(counts: &[AtomicU64; 2]) -> [u64; 2] {
    [0, 1].map(|kind: usize| counts[kind].swap(0, Ordering::SeqCst))
}

fn sink(endpoint: &str, settings: Settings) -> Sink {
    let store = Store::new(testkit::client(endpoint), Engine::TABLE, settings);
    Sink { decoder: Default::default(), store, room_filter: None, room_index: None }
}

async fn store(sink: &Sink, bodies: &[Vec<u8>], is_redelivery: bool) -> Vec<Report> {
    let ids: Vec<_> = (0..bodies.len()).map(|number| format!("{number}{HOSTILE}")).collect();
    let records = bodies.iter().zip(&ids).map(|(body, id)| Record {
        id,
        body,
        received_at: EPOCH,
        is_redelivery,
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    sink.store_records(&records.collect::<Vec<_>>(), deadline).await
}

/// Stores bodies invocation by invocation, by inserts and by puts alone; reports and tables.
async fn both_ways(
    invocations: &[Vec<Vec<u8>>],
    settings: Settings,
) -> [(Vec<Report>, Vec<Item>); 2] {
    let mut ways = Vec::new();
    for bulk_inserts in [BulkInserts::On, BulkInserts::Off] {
        let engine = Engine::start().await;
        let sink = sink(&engine.endpoint, Settings { bulk_inserts, ..settings });
        let mut reports = Vec::new();
        for (number, bodies) in invocations.iter().enumerate() {
            reports.extend(store(&sink, bodies, number % 3 == 2).await);
        }
        ways.push((reports, engine.rows().await));
    }
    ways.try_into().expect("two ways")
}

#[tokio::test]
async fn new_rows_go_in_few_requests_and_a_few_rows_as_puts() {
    let engine = Engine::start().await;
    let (proxy, counts) = counting(&engine).await;
    let sink = sink(&proxy.endpoint, Settings::default());
    let reports = store(&sink, &[delivery((0..100).map(create))], false).await;
    assert_eq!((reports[0].stored, count(&counts)), (100, [8, 0]), "{reports:?}");
    let reports = store(&sink, &[delivery((100..101).map(create))], false).await;
    assert_eq!((reports[0].stored, count(&counts)), (1, [0, 2]), "{reports:?}");
    let edit =
        |message| Op { version: 1, kind: OpKind::Version(Action::Update, None), ..create(message) };
    let reports = store(&sink, &[delivery((0..50).map(edit))], false).await;
    assert_eq!((reports[0].stored, count(&counts)), (50, [2, 50]), "{reports:?}");
    assert_eq!(engine.rows().await.len(), 2 * 101 + 50);

    let off = Settings { bulk_inserts: BulkInserts::Off, ..Settings::default() };
    let sink = self::sink(&proxy.endpoint, off);
    let reports = store(&sink, &[delivery((200..210).map(create))], false).await;
    assert_eq!((reports[0].stored, count(&counts)), (10, [0, 20]), "{reports:?}");
}

/// What the rows of a batch that comes again cost: each statement and each put counts, all rows
/// being smaller than a write unit.
#[tokio::test]
async fn a_redelivery_costs_a_unit_a_row_where_it_is_known_and_half_as_much_again_else() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::of_rows(&engine.endpoint, |_| Fault::None).await;
    let sink = sink(&proxy.endpoint, Settings::default());
    let (body, mut before) = ([delivery((0..100).map(create))], 0);
    for (is_redelivery, units) in [(false, 200), (false, 300), (true, 200)] {
        store(&sink, &body, is_redelivery).await;
        assert_eq!(proxy.requests() - before, units);
        before = proxy.requests();
    }
}

fn hostile_message(number: u32, action: &Value) -> Value {
    let serial = common::serial(number, 0).0;
    json!({"name": "chat.message", "serial": serial, "timestamp": EPOCH, "action": action,
           "clientId": HOSTILE,
           "version": {"serial": serial, "timestamp": EPOCH, "clientId": HOSTILE,
                       "description": HOSTILE, "metadata": {HOSTILE: HOSTILE}},
           "data": {"text": HOSTILE, "metadata": {HOSTILE: [HOSTILE, {HOSTILE: null}]}},
           "extras": {"headers": {HOSTILE: HOSTILE}, "userClaim": HOSTILE, HOSTILE: HOSTILE},
           HOSTILE: {HOSTILE: HOSTILE},
           "annotations": {"summary": {"reaction:distinct.v1":
                {HOSTILE: {"total": 1, "clientIds": [HOSTILE]}}, HOSTILE: {HOSTILE: 1}}}})
}

/// No value is ever part of a statement's text.
#[tokio::test]
async fn any_text_travels_as_it_is() {
    let body = |number: u32, action: Value| {
        let items = (number..number + 10).map(|number| {
            json!({"source": "channel.message", "serial": format!("{number}{HOSTILE}"),
                   "data": {"channelId": format!("{HOSTILE}{number}::$chat"),
                            "messages": [hostile_message(number, &action)]}})
        });
        json!({"items": items.collect::<Vec<_>>()}).to_string().into_bytes()
    };
    let invocations = [vec![body(0, json!(0)), body(0, json!(4)), body(20, json!(0))]];
    let settings = Settings { reactions: KeepReactions::Snapshots, ..Settings::default() };
    let [(inserted, rows), (put, rows_by_puts)] = both_ways(&invocations, settings).await;
    assert_eq!((&inserted, &rows), (&put, &rows_by_puts));
    assert!(inserted.iter().all(|report| report.stored == 10), "{inserted:?}");
    assert_eq!(rows.len(), 20 * (2 + 2));
    assert!(rows.iter().all(|row| row["pk"].as_s().is_ok_and(|pk| pk.starts_with(HOSTILE))));
    assert!(rows.iter().any(|row| {
        row.get("text").is_some_and(|text| text.as_s().is_ok_and(|text| text == HOSTILE))
    }));
}

fn settings() -> impl Strategy<Value = Settings> {
    let versions = [KeepVersions::Both, KeepVersions::Latest, KeepVersions::All];
    let reactions = [KeepReactions::Latest, KeepReactions::Snapshots];
    (proptest::sample::select(versions.to_vec()), proptest::sample::select(reactions.to_vec()))
        .prop_map(|(versions, reactions)| Settings { versions, reactions, ..Settings::default() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn inserts_leave_what_puts_leave_and_report_the_same(
        deliveries in histories::history().prop_flat_map(histories::deliveries),
        settings in settings(),
        records_at_once in 2..12_usize,
    ) {
        let invocations: Vec<Vec<_>> = deliveries
            .chunks(records_at_once)
            .map(|chunk| chunk.iter().map(Delivery::body).collect())
            .collect();
        let runtime = Runtime::new().expect("a runtime");
        let [inserted, put] = runtime.block_on(both_ways(&invocations, settings));
        prop_assert_eq!(inserted, put);
    }
}
