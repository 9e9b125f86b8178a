//! What networks and services do between the function and its table: nothing is lost, and each
//! failure says whether the same bytes may succeed later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ably_chat_exporter::aws;
use ably_chat_exporter::ingest::{ErrorType, Record, Report, Sink};
use ably_chat_exporter::store::{Direction, KeepVersions, Settings, Store};
use aws_sdk_dynamodb::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept};
use aws_sdk_dynamodb::error::BoxError;
use proptest::prelude::*;
use testkit::{Engine, Fault, FaultProxy};
use tokio::time::Instant;

use crate::common::{self, Delivery, EPOCH, Model, Op, OpKind, histories, reading};

/// An ingest whose client is the function's own, retries included, but for the endpoint.
pub(crate) async fn through(proxy: &FaultProxy) -> Sink {
    let config = aws_sdk_dynamodb::config::Builder::from(
        &aws::connect(false, aws::Identity::Environment).await,
    )
    .endpoint_url(&proxy.endpoint)
    .region(aws_sdk_dynamodb::config::Region::new("local"))
    .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("l", "l", None, None, "l"))
    .retry_config(
        aws_sdk_dynamodb::config::retry::RetryConfig::standard()
            .with_max_attempts(10)
            .with_initial_backoff(Duration::from_millis(1)),
    )
    .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let store = Store::new(client, Engine::TABLE, Settings::default());
    Sink {
        decoder: ably_chat_exporter::ably::Decoder::default(),
        store,
        room_filter: None,
        room_index: None,
    }
}

pub(crate) fn create(message: u32) -> Op {
    let kind = OpKind::Version(ably_chat_exporter::chat::Action::Create, None);
    Op { room: 0, message, version: 0, kind }
}

async fn send_one(fault: impl Fn(u64) -> Fault + Send + Sync + 'static) -> (Report, u64, usize) {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, fault).await;
    let delivery = Delivery { id: "d".into(), received_at: EPOCH, ops: vec![create(0)] };
    let report = common::send(&through(&proxy).await, "d", &delivery.body()).await;
    (report, proxy.requests(), engine.rows().await.len())
}

#[tokio::test]
async fn a_transient_fault_is_retried() {
    for fault in [Fault::Throttle, Fault::Internal, Fault::DropBefore, Fault::DropAfter] {
        let (report, requests, rows) =
            send_one(move |request| if request < 3 { fault } else { Fault::None }).await;
        assert_eq!(report.failed, [], "{fault:?}");
        assert_eq!((report.received, rows), (1, 2), "{fault:?}");
        assert!(requests >= 4, "{fault:?}");
    }
}

#[tokio::test]
async fn a_fault_that_lasts_is_retryable() {
    let faults = [
        Fault::Throttle,
        Fault::Internal,
        Fault::DropBefore,
        Fault::Refuse("AccessDeniedException"),
    ];
    for fault in faults {
        let (report, _, rows) = send_one(move |_| fault).await;
        assert_eq!((report.stored, rows), (0, 0), "{fault:?}");
        assert_eq!(report.error_type(), Some(ErrorType::Retryable), "{fault:?}");
        let reason = &report.failed[0].reason;
        assert!(reason.starts_with("dynamodb:PutItem on table \"chat\": "), "{reason}");
    }
}

#[tokio::test]
async fn a_row_that_dynamodb_refuses_is_not_retryable() {
    let (report, requests, _) = send_one(|_| Fault::Refuse("ValidationException")).await;
    assert_eq!(report.error_type(), Some(ErrorType::NonRetryable));
    assert_eq!(requests, 2, "no second attempt at either row");
}

#[tokio::test]
async fn a_failed_write_fails_its_message_alone() {
    let engine = Engine::start().await;
    // The third of six statements, and the put that is tried then.
    let fault = |row| match row {
        2 | 6 => Fault::Refuse("ValidationException"),
        _ => Fault::None,
    };
    let proxy = FaultProxy::of_rows(&engine.endpoint, fault).await;
    let delivery =
        Delivery { id: "d".into(), received_at: EPOCH, ops: (0..3).map(create).collect() };
    let report = common::send(&through(&proxy).await, "d", &delivery.body()).await;
    assert_eq!((report.received, report.stored, report.failed.len()), (3, 2, 1));
    assert_eq!((engine.rows().await.len(), proxy.requests()), (5, 7));
    let reason = &report.failed[0].reason;
    assert!(reason.starts_with("dynamodb:PutItem on table \"chat\": Validation"), "{reason}");
}

#[tokio::test]
async fn a_folded_put_shares_the_result_of_the_one_it_was_folded_into() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Refuse("AccessDenied")).await;
    let summary = |total| Op { kind: OpKind::Summary(total), ..create(0) };
    let delivery =
        Delivery { id: "d".into(), received_at: EPOCH, ops: (0..100).map(summary).collect() };
    let report = common::send(&through(&proxy).await, "d", &delivery.body()).await;
    assert_eq!(proxy.requests(), 1, "a burst of a hundred summaries is one write");
    assert_eq!(report.failed.len(), 100, "and none of them is stored if that fails");
}

#[tokio::test]
async fn a_burst_is_one_write_and_the_last_of_it_is_the_one_stored() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::None).await;
    let summary = |total| Op { kind: OpKind::Summary(total), ..create(0) };
    let ops = std::iter::once(create(0)).chain((0..100).map(summary)).collect();
    let ingest = through(&proxy).await;
    let report =
        common::send(&ingest, "d", &Delivery { id: "d".into(), received_at: EPOCH, ops }.body())
            .await;
    assert_eq!(proxy.requests(), 3, "two rows for the version, one for all summaries");
    assert_eq!((report.stored, report.superseded), (2, 99));
    let room = reading::whole_room(&ingest.store, "a", Direction::NewestFirst, 5).await;
    assert_eq!(room[0].reactions.distinct["👍"].total, 99);
}

/// Counts the requests that are begun: each is built and signed, whether it is sent or not.
#[derive(Clone, Debug, Default)]
struct Begun(Arc<AtomicU64>);

impl Intercept for Begun {
    fn name(&self) -> &'static str {
        "Begun"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Each row that was left at the deadline was still made into a request, which took a second and
/// more of the time to answer.
#[tokio::test]
async fn regression_no_request_is_built_after_the_deadline() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Hang).await;
    let begun = Begun::default();
    let config = testkit::client(&proxy.endpoint).config().to_builder().interceptor(begun.clone());
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let store = Store::new(client, Engine::TABLE, Settings::default());
    let ingest = Sink { store, ..common::ingest(&engine, Settings::default()) };
    let delivery =
        Delivery { id: "d".into(), received_at: EPOCH, ops: (0..500).map(create).collect() };
    let body = delivery.body();
    let record = Record { id: "d", body: &body, received_at: EPOCH, is_redelivery: false };
    let reports = ingest.store_records(&[record], Instant::now() + Duration::from_secs(1)).await;
    assert!((1..100).contains(&begun.0.load(Ordering::SeqCst)), "{begun:?}");
    assert_eq!(reports[0].failed.len(), 500);
    assert_eq!(reports[0].error_type(), Some(ErrorType::Retryable));

    let reports = ingest.store_records(&[record], Instant::now()).await;
    assert_eq!(reports[0].error_type(), Some(ErrorType::Retryable));
    assert!(reports[0].failed[0].reason.contains("before the invocation's deadline"));
}

/// What is written in several steps, since it is much, comes out the same.
#[tokio::test]
async fn a_payload_that_is_written_in_steps_converges() {
    let engine = Engine::start().await;
    let summary = |message, total| Op { kind: OpKind::Summary(total), ..create(message) };
    let ops = (0..2_500).flat_map(|number| [create(number), summary(number % 7, number.into())]);
    let body = Delivery { id: "d".into(), received_at: EPOCH, ops: ops.collect() }.body();
    let report = common::send(&common::ingest(&engine, Settings::default()), "d", &body).await;
    assert_eq!((report.received, report.failed.len()), (5_000, 0), "{:?}", report.failed.first());
    assert_eq!(reading::count_rows(&engine).await, [2_500, 2_500, 7, 0]);
    let store = common::ingest(&engine, Settings::default()).store;
    for message in 0..7_u32 {
        let found = store.message(&create(0).room_name(), &common::serial(message, 0)).await;
        let total = found.expect("a read").expect("a message").reactions.distinct["👍"].total;
        let last = (0..2_500_u32).rfind(|number| number % 7 == message).expect("one of seven");
        assert_eq!(total, u64::from(last), "the last of them");
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Throttle),
        1 => Just(Fault::Internal),
        1 => Just(Fault::DropBefore),
        1 => Just(Fault::DropAfter),
        1 => Just(Fault::Delay(3)),
    ]
}

/// Delivers each payload until all of it is stored, as Lambda's retries and a replay of the
/// failure queue do.
async fn deliver_and_compare(deliveries: &[Delivery], faults: Vec<Fault>, of_rows: bool) {
    let engine = Engine::start().await;
    let plan = move |request: u64| {
        usize::try_from(request).ok().and_then(|n| faults.get(n).copied()).unwrap_or(Fault::None)
    };
    let proxy = match of_rows {
        true => FaultProxy::of_rows(&engine.endpoint, plan).await,
        false => FaultProxy::start(&engine.endpoint, plan).await,
    };
    let ingest = through(&proxy).await;
    let mut model = Model::default();
    for delivery in deliveries {
        while common::send(&ingest, &delivery.id, &delivery.body()).await.error_type().is_some() {}
        delivery.ops.iter().for_each(|op| model.arrive(op, EPOCH));
    }
    let store = common::ingest(&engine, Settings::default()).store;
    reading::check(&store, &model, KeepVersions::Both).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn faults_do_not_show(
        deliveries in histories::history().prop_flat_map(histories::deliveries),
        faults in proptest::collection::vec(fault(), 0..120),
        of_rows in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(deliver_and_compare(&deliveries, faults, of_rows));
    }
}
