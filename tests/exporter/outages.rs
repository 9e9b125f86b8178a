//! A table, a queue or a request that fails for a while: nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::{Engine, Fault, FaultProxy, RuntimeApi, Services};

use crate::common::function::{TIMEOUT, error, spawn};
use crate::common::sources::Source;
use crate::world::{World, assert_well, bad, failures, good, status};

/// A table that can be switched off.
async fn switched(engine: &Engine) -> (FaultProxy, Arc<AtomicBool>) {
    let is_down = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_down);
    let proxy = FaultProxy::start(&engine.endpoint, move |_| {
        if switch.load(Ordering::SeqCst) { Fault::Throttle } else { Fault::None }
    });
    (proxy.await, is_down)
}

#[tokio::test]
async fn a_transient_failure_goes_back_and_is_stored_when_it_comes_again() {
    for source in Source::ALL {
        let engine = Engine::start().await;
        let (proxy, is_down) = switched(&engine).await;
        let world = World::with(engine, &proxy.endpoint, true).await;
        is_down.store(true, Ordering::SeqCst);
        let event = source.event(&[good("1"), bad("2"), good("3")]);
        let answer = world.send(event.clone()).await;
        match source {
            Source::Sqs => assert_eq!(answer, failures(&["record-0", "record-2"])),
            Source::SqsFifo => {
                assert_eq!(answer, failures(&["record-0", "record-1", "record-2"]));
            }
            Source::Kinesis => assert_eq!(answer, failures(&["record-0"])),
            Source::FunctionUrl => assert_eq!(status(&answer), 503),
            Source::Kafka | Source::RabbitMq => {
                assert_eq!(error(&answer).0, "Retryable");
            }
        }
        assert_eq!(world.engine.rows().await, []);
        for _ in 0..3 {
            world.send(event.clone()).await;
        }
        is_down.store(false, Ordering::SeqCst);
        assert_well(source, &world.send(event).await);
        match source {
            // Lambda would not have sent it again: it was acknowledged each time.
            Source::Sqs => assert_eq!(world.parked().len(), 5),
            Source::FunctionUrl => assert_eq!(world.parked().len(), 0),
            _ => assert_eq!(world.parked().len(), 1, "not once for each attempt, {source:?}"),
        }
        let stored = world.texts().await;
        match source {
            Source::FunctionUrl => assert_eq!(stored, ["text of 1"]),
            _ => assert_eq!(stored, ["text of 1", "text of 3"], "{source:?}"),
        }
    }
}

#[tokio::test]
async fn a_record_is_acknowledged_only_once_it_is_stored_or_parked() {
    for source in Source::ALL {
        let world = World::start().await;
        world.services.set_queue_down(true);
        let bodies = match source {
            Source::FunctionUrl => vec![bad("2")],
            _ => vec![good("1"), bad("2"), good("3")],
        };
        let answer = world.send(source.event(&bodies)).await;
        match source {
            Source::Sqs | Source::Kinesis => assert_eq!(answer, failures(&["record-1"])),
            Source::SqsFifo => assert_eq!(answer, failures(&["record-1", "record-2"])),
            Source::FunctionUrl => assert_eq!(status(&answer), 500),
            Source::Kafka | Source::RabbitMq => {
                assert_eq!(error(&answer).0, "NonRetryable");
            }
        }
        world.services.set_queue_down(false);
        assert_well(source, &world.send(source.event(&bodies)).await);
        assert_eq!(world.parked().len(), 1, "{source:?}");
        let log = world.function.kill().await;
        assert!(log.contains("record not parked"), "{log}");
        assert!(log.contains("sqs:SendMessage: InternalError"), "{log}");
    }
}

/// A request that was lost on the way was waited for until the deadline.
#[tokio::test]
async fn regression_a_request_without_an_answer_is_sent_again() {
    let engine = Engine::start().await;
    let lost = |request| if request == 0 { Fault::Hang } else { Fault::None };
    let table = FaultProxy::start(&engine.endpoint, lost).await;
    let (services, api) = (Services::start().await, RuntimeApi::start().await);
    let queue = FaultProxy::start(&services.endpoint, lost).await;
    let env = [testkit::env(&table.endpoint), services.env()].concat();
    let url = services.queue_url();
    let settings =
        [("AWS_ENDPOINT_URL_SQS", queue.endpoint.as_str()), ("FAILURE_QUEUE_URL", url.as_str())];
    let _function = spawn(&api, &env, &settings);
    let event = Source::Kinesis.event(&[good("1"), bad("2")]);
    assert_well(Source::Kinesis, &api.invoke(event, TIMEOUT).await);
    assert_eq!((engine.rows().await.len(), services.messages().len()), (2, 1));
    assert_eq!((table.requests(), queue.requests()), (3, 2));
}

/// The webhook's answer comes before Ably stops waiting for it, whatever the function's time-out.
#[tokio::test]
async fn a_webhook_is_answered_within_the_time_that_ably_waits() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Delay(60_000)).await;
    let world = World::with(engine, &proxy.endpoint, true).await;
    let event = Source::FunctionUrl.event(&[good("1")]);
    let answer = world.api.invoke(event, Duration::from_secs(900));
    let answer = tokio::time::timeout(Duration::from_secs(25), answer).await;
    assert_eq!(status(&answer.expect("an answer in time")), 503);
}
