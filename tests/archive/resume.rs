//! Walks that were stopped.

use std::time::Duration;

use ably_chat_exporter::time::now;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use testkit::{Ably, Engine};

use crate::common::history::{Message, check_room};
use crate::program::{
    BACKFILL, RECONCILE, REPAIR, end, live, messages, run, signal, start, store, verify,
};
use crate::rows::{delete, put, rows_of};

/// Ctrl-C says how to go on, and the next run does.
#[tokio::test]
async fn a_run_that_is_interrupted_goes_on() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(300);
    for message in &all {
        message.publish(&ably, "r");
    }
    ably.behave(|it| (it.page, it.latency) = (10, Duration::from_millis(20)));
    let args = ["backfill", "--room", "r", "--execute", "--pace", "10000", "--since", "2026-01-01"];
    let child = start(&args, &engine, &ably, &[]);
    ably.wait_for_pages(5).await;
    signal(&child, "-INT");
    let stopped = end(child).await;
    assert_eq!(stopped.status, 130, "{}", stopped.errors);
    assert!(stopped.errors.contains("give the same command again"), "{}", stopped.errors);
    assert_eq!(stopped.summary()["rooms"]["stopped"], json!(["r"]));
    let done = stopped.summary()["messages"].as_u64().unwrap();
    assert!((1..300).contains(&done), "{done}");
    let ran = run(&args[..5], &engine, &ably).await;
    assert_eq!(ran.status, 2, "a pace needs a value");
    let ran = run(&[&args[..4], &args[6..]].concat(), &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["messages"]), (0, &json!(300)), "{}", ran.errors);
    assert_eq!(ran.events("room")[0]["resumed"], json!(done));
    check_room(&store(&engine), "r", &all).await;
    let verified = verify(&["r"], &engine, &ably).await;
    assert_eq!(
        (verified.status, &verified.events("receipt")[0]["versions"]),
        (0, &json!(all.iter().map(|it| it.versions.len()).sum::<usize>())),
        "{:?}",
        verified.lines
    );
}

/// Lets a walk that leaves receipts run into its third page of ten, and stops it.
async fn stopped_walk(engine: &Engine, ably: &Ably, args: &[&str]) {
    ably.behave(|it| (it.page, it.latency) = (10, Duration::from_millis(20)));
    let pages = ably.requests()[1];
    let child = start(&[args, &["--pace", "10000"]].concat(), engine, ably, &[]);
    ably.wait_for_pages(pages + 5).await;
    signal(&child, "-INT");
    let stopped = end(child).await;
    assert_eq!(stopped.status, 130, "{}", stopped.errors);
    assert_eq!(rows_of(engine, "checkpoint#").await.len(), 1);
    ably.behave(|it| it.latency = Duration::ZERO);
}

/// Pages that a stopped walk had done are held against the table again before it goes on.
#[tokio::test]
async fn regression_rows_that_went_while_a_walk_was_stopped_are_missed() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(100);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    live(&engine, "r", &all).await;
    stopped_walk(&engine, &ably, &REPAIR).await;
    for row in rows_of(&engine, "message#").await.iter().take(3) {
        delete(&engine, row).await;
    }
    let ended = run(&REPAIR, &engine, &ably).await;
    assert_eq!((ended.status, &ended.summary()["repaired"]), (0, &json!(3)), "{:?}", ended.lines);
    check_room(&store(&engine), "r", &all).await;
    assert_eq!(verify(&["r"], &engine, &ably).await.status, 0);
}

/// A checkpoint of long ago is none to go on from: messages may have been edited since.
#[tokio::test]
async fn regression_a_checkpoint_of_long_ago_is_not_resumed() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let mut all = messages(100);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    stopped_walk(&engine, &ably, &BACKFILL).await;
    let mut checkpoint = rows_of(&engine, "checkpoint#").await.remove(0);
    let long_ago = AttributeValue::N((now() - 2 * 86_400_000).to_string());
    assert!(checkpoint.insert("savedAt".into(), long_ago).is_some());
    put(&engine, checkpoint).await;
    let edited = Message::new(1, 1, false, 0);
    ably.publish("r", edited.versions[1].clone());
    all[0] = edited;
    let ended = run(&BACKFILL, &engine, &ably).await;
    assert_eq!((ended.status, &ended.events("room")[0]["resumed"]), (0, &json!(0)));
    check_room(&store(&engine), "r", &all).await;
}

/// What the first half of a stopped comparison found, the second does not forget.
#[tokio::test]
async fn regression_a_stopped_reconcile_remembers_what_it_found() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(100);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    live(&engine, "r", &all[1..]).await;
    let args = [&RECONCILE[..], &["--leave-receipt"]].concat();
    stopped_walk(&engine, &ably, &args).await;
    let ended = run(&args, &engine, &ably).await;
    assert!(ended.events("room")[0]["resumed"].as_u64() > Some(0), "{:?}", ended.lines);
    assert_eq!((ended.status, &ended.summary()["missing"]), (1, &json!(1)), "{:?}", ended.lines);
    assert_eq!(ended.summary()["messages"], 100);
}

/// SIGTERM ends a walk at once, also between attempts at a request that Ably does not answer.
#[tokio::test]
async fn regression_sigterm_does_not_wait_for_retries() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    messages(3).iter().for_each(|message| message.publish(&ably, "r"));
    ably.behave(|it| it.failures = Some((0, &[503])));
    let child = start(&BACKFILL, &engine, &ably, &[]);
    ably.wait_for_requests(2).await;
    signal(&child, "-TERM");
    let ended = tokio::time::timeout(Duration::from_secs(20), end(child)).await;
    let ended = ended.expect("it ends long before its last attempt");
    assert_eq!(ended.status, 130, "{}", ended.errors);
    assert_eq!(ended.summary()["rooms"]["stopped"], json!(["r"]));
}
