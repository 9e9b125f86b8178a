//! What networks, services and roles do to requests that insert many rows: each row is stored, or
//! fails by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ably_chat_exporter::ingest::{ErrorType, Failure, Sink};
use serde_json::{Value, json};
use testkit::{Engine, Fault, FaultProxy};

use crate::common::sources::Source;
use crate::common::{self, Delivery, EPOCH};
use crate::faults::{create, through};
use crate::world::{World, assert_well, good};

const MESSAGES: u32 = 60;
const ROWS: u64 = 2 * MESSAGES as u64;

fn body(messages: std::ops::Range<u32>) -> Vec<u8> {
    let ops = messages.map(create).collect();
    Delivery { id: "d".into(), received_at: EPOCH, ops }.body()
}

/// A proxy that fails requests to insert, and how many of those came in.
async fn failing_inserts(
    engine: &Engine,
    fault: impl Fn(u64) -> Fault + Send + Sync + 'static,
) -> (FaultProxy, Arc<AtomicU64>) {
    let inserts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&inserts);
    let proxy =
        FaultProxy::start_by_operation(&engine.endpoint, move |_, operation| {
            match operation == "BatchExecuteStatement" {
                true => fault(counted.fetch_add(1, Ordering::SeqCst)),
                false => Fault::None,
            }
        });
    (proxy.await, inserts)
}

#[tokio::test]
async fn rows_of_a_request_that_fails_are_put() {
    let faults = [
        Fault::Throttle,
        Fault::Internal,
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Hang,
        Fault::Refuse("ValidationException"),
        Fault::Refuse("RequestLimitExceeded"),
        Fault::Refuse("SerializationException"),
    ];
    for fault in faults {
        let engine = Engine::start().await;
        // The second of five.
        let once = move |number| if number == 1 { fault } else { Fault::None };
        let (proxy, inserts) = failing_inserts(&engine, once).await;
        let ingest = through(&proxy).await;
        let report = common::send(&ingest, "d", &body(0..MESSAGES)).await;
        assert_eq!(report.failed, [], "{fault:?}");
        let stored = match fault {
            // It was carried out, so that its messages may count as superseded.
            Fault::DropAfter => report.stored + report.superseded,
            _ => report.stored,
        };
        assert_eq!(stored, u64::from(MESSAGES), "{fault:?}");
        assert_eq!(engine.rows().await.len() as u64, ROWS, "{fault:?}");
        assert_eq!(inserts.load(Ordering::SeqCst), 5, "not tried again: {fault:?}");
        common::send(&ingest, "d", &body(MESSAGES..2 * MESSAGES)).await;
        assert_eq!(inserts.load(Ordering::SeqCst), 10, "and not given up: {fault:?}");
    }
}

/// An older stack's role, and an engine that does not know the operation.
#[tokio::test]
async fn a_refused_operation_is_given_up_for_the_life_of_the_process() {
    let codes = ["AccessDeniedException", "AccessDenied", "UnknownOperationException"];
    for code in codes {
        let engine = Engine::start().await;
        let (proxy, inserts) = failing_inserts(&engine, move |_| Fault::Refuse(code)).await;
        let ingest = through(&proxy).await;
        let clone = ingest.clone();
        let report = common::send(&ingest, "d", &body(0..MESSAGES)).await;
        assert_eq!((report.stored, &report.failed[..]), (u64::from(MESSAGES), &[][..]), "{code}");
        let before = inserts.load(Ordering::SeqCst);
        assert!((1..=5).contains(&before), "{code}");
        common::send(&clone, "d", &body(MESSAGES..2 * MESSAGES)).await;
        assert_eq!(inserts.load(Ordering::SeqCst), before, "{code}");
        assert_eq!(engine.rows().await.len() as u64, 2 * ROWS, "{code}");
    }
}

/// By statement: what fails by itself is put by itself, and the rest is stored already.
#[tokio::test]
async fn a_statement_that_fails_is_put_by_itself() {
    let codes = [
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
        "InternalServerError",
        "ValidationError",
        "ConditionalCheckFailed",
        "ItemCollectionSizeLimitExceeded",
        "ResourceNotFound",
        "SomethingNew",
        "AccessDenied",
    ];
    for code in codes {
        let engine = Engine::start().await;
        let fault = move |row| if row == 7 { Fault::Refuse(code) } else { Fault::None };
        let proxy = FaultProxy::of_rows(&engine.endpoint, fault).await;
        let ingest = through(&proxy).await;
        let report = common::send(&ingest, "d", &body(0..12)).await;
        assert_eq!((report.stored, &report.failed[..]), (12, &[][..]), "{code}");
        assert_eq!((engine.rows().await.len(), proxy.requests()), (24, 25), "{code}");
    }
}

/// Neither its statement nor its put: it fails with the put's reason, and the others are stored.
#[tokio::test]
async fn a_row_that_dynamodb_refuses_fails_by_itself() {
    let engine = Engine::start().await;
    let fault = |row| match row {
        7 | 24 => Fault::Refuse("ValidationException"),
        _ => Fault::None,
    };
    let proxy = FaultProxy::of_rows(&engine.endpoint, fault).await;
    let report = common::send(&through(&proxy).await, "d", &body(0..12)).await;
    assert_eq!((report.stored, report.failed.len()), (11, 1), "{report:?}");
    let Failure { reason, error_type, .. } = &report.failed[0];
    assert!(reason.starts_with("dynamodb:PutItem on table"), "{reason}");
    assert!(reason.contains("ValidationException (400)"), "{reason}");
    assert_eq!(*error_type, ErrorType::NonRetryable);
    assert_eq!((engine.rows().await.len(), proxy.requests()), (23, 25));
}

/// Sends creates twice, and says whether they were inserted: a create that is there already is
/// refused as an insert, and as a put.
async fn inserts(ingest: &Sink, proxy: &FaultProxy, messages: std::ops::Range<u32>) -> bool {
    common::send(ingest, "d", &body(messages.clone())).await;
    let before = proxy.requests();
    let rows = 2 * u64::from(messages.end - messages.start);
    common::send(ingest, "d", &body(messages)).await;
    proxy.requests() - before > rows
}

#[tokio::test]
async fn statements_that_are_never_right_are_given_up_and_rows_that_are_wrong_are_not_their_fault()
{
    let refused_once = |rows| {
        move |row| if row < rows { Fault::Refuse("ValidationException") } else { Fault::None }
    };
    let engine = Engine::start().await;
    let proxy = FaultProxy::of_rows(&engine.endpoint, refused_once(24)).await;
    let ingest = through(&proxy).await;
    let report = common::send(&ingest, "d", &body(0..12)).await;
    assert_eq!((report.stored, &report.failed[..]), (12, &[][..]));
    assert_eq!((engine.rows().await.len(), proxy.requests()), (24, 48));
    assert!(!inserts(&ingest, &proxy, 12..24).await);

    let engine = Engine::start().await;
    let proxy = FaultProxy::of_rows(&engine.endpoint, refused_once(8)).await;
    let ingest = through(&proxy).await;
    let report = common::send(&ingest, "d", &body(0..2)).await;
    assert_eq!((report.stored, report.failed.len(), proxy.requests()), (0, 2, 8), "{report:?}");
    assert!(inserts(&ingest, &proxy, 12..24).await);
}

/// The role lacks the permission: one warning, which names it, and nothing fails.
#[tokio::test]
async fn a_missing_permission_is_said_once() {
    let engine = Engine::start().await;
    let denied = |_| Fault::Refuse("AccessDeniedException");
    let (proxy, _) = failing_inserts(&engine, denied).await;
    let world = World::with(engine, &proxy.endpoint, true).await;
    for batch in 0..3 {
        let bodies: Vec<_> = (0..40).map(|number| good(&format!("{batch}-{number}"))).collect();
        assert_well(Source::Sqs, &world.send(Source::Sqs.event(&bodies)).await);
    }
    assert_eq!(world.engine.rows().await.len(), 3 * 40 * 2);
    let log = world.function.kill().await;
    assert_eq!(log.matches("dynamodb:PartiQLInsert").count(), 1, "{log}");
    let lines = log.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let warnings: Vec<Value> = lines.filter(|line: &Value| line["level"] == "WARN").collect();
    assert_eq!(warnings.len(), 1, "{log}");
    let reason = warnings[0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("AccessDeniedException"), "{reason}");
}

/// Where the source says that it comes again, the latest rows are not inserted first.
#[tokio::test]
async fn a_redelivery_costs_no_more_than_its_puts() {
    let again = [
        (Source::Sqs, "ApproximateReceiveCount", json!("2")),
        (Source::RabbitMq, "redelivered", json!(true)),
    ];
    for (source, name, value) in again {
        let engine = Engine::start().await;
        let proxy = FaultProxy::of_rows(&engine.endpoint, |_| Fault::None).await;
        let world = World::with(engine, &proxy.endpoint, true).await;
        let bodies: Vec<_> = (0..20).map(|number| good(&number.to_string())).collect();
        let event = source.event(&bodies);
        assert_well(source, &world.send(event.clone()).await);
        assert_eq!(proxy.requests(), 40, "{source:?}");
        assert_well(source, &world.send(event.clone()).await);
        assert_eq!(proxy.requests(), 40 + 60, "not known: {source:?}");
        let mut event: Value = serde_json::from_slice(&event).expect("JSON");
        let records = match source {
            Source::RabbitMq => &mut event["rmqMessagesByQueue"]["chat::/"],
            _ => &mut event["Records"],
        };
        for record in records.as_array_mut().expect("records") {
            match source {
                Source::RabbitMq => record[name] = value.clone(),
                _ => record["attributes"][name] = value.clone(),
            }
        }
        assert_well(source, &world.send(event.to_string()).await);
        assert_eq!(proxy.requests(), 40 + 60 + 40, "known: {source:?}");
        assert_eq!(world.engine.rows().await.len(), 40);
    }
}
