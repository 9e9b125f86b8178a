//! Time and memory.

use std::time::Duration;

use serde_json::json;
use testkit::{Engine, Fault, FaultProxy, RuntimeApi};
use tokio::time::Instant;

use crate::common::function::{error, sample, spawn};

#[tokio::test]
async fn the_deadline_ends_retries_and_the_record_is_retryable() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Throttle).await;
    let api = RuntimeApi::start().await;
    let env = testkit::env(&proxy.endpoint);
    let _function = spawn(&api, &env, &[("AWS_MAX_ATTEMPTS", "1000")]);
    let answer = api.invoke(sample("create"), Duration::from_secs(2)).await;
    let (kind, message) = error(&answer);
    assert_eq!(kind, "Retryable");
    assert!(message.contains("no answer before the invocation's deadline"), "{message}");
    assert!(proxy.requests() > 2, "it was tried again");
}

/// 150,000 messages in one payload took 823 MB, and there was no answer within a minute.
#[tokio::test]
async fn regression_very_many_messages_are_answered_in_time_and_within_memory() {
    let engine = Engine::start().await;
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Hang).await;
    let api = RuntimeApi::start().await;
    let function = spawn(&api, &testkit::env(&proxy.endpoint), &[]);
    let message = |number| json!({"name": "chat.message", "serial": format!("{number}")});
    let messages: Vec<_> = (0..20_000).map(message).collect();
    let body = json!({"channel": "r::$chat", "messages": messages}).to_string();
    let started = Instant::now();
    let answer = api.invoke(body, Duration::from_secs(6)).await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    let (kind, reason) = error(&answer);
    assert_eq!(kind, "Retryable");
    // As many as are planned at once, and the rest as one.
    assert!(reason.starts_with("513 of 513 not stored; "), "{reason}");
    assert!(reason.len() < 2_000, "{reason}");
    let pid = function.id().expect("it runs");
    let memory = testkit::peak_memory_kb(pid).expect("it runs, on Linux") / 1_024;
    assert!(memory < 70, "{memory} MB");
    let log = function.kill().await;
    assert!(log.len() < 5_000, "one line for each reason: {log}");
}
