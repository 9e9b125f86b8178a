//! Which receipts a walk trusts, replaces and leaves.

use std::collections::BTreeSet;

use ably_chat_exporter::time::now;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use testkit::{Ably, Engine, Item};

use crate::common::history::{Message, check_room};
use crate::common::{EPOCH, serial};
use crate::program::{
    BACKFILL, RECONCILE, REPAIR, deliver, end, messages, run, start, store, verify, version_of,
    with,
};
use crate::rows::{Tampering, altered, delete, put, rows_of};

/// Rows that expire are no gap: a receipt does not outlive its first message.
#[tokio::test]
async fn receipts_expire_with_their_first_message() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    messages(3).iter().for_each(|message| message.publish(&ably, "r"));
    let days = (now() - EPOCH) / 86_400_000 + 1;
    let retention = [("RETENTION_DAYS", days.to_string())];
    let retention = retention.each_ref().map(|(name, value)| (*name, value.as_str()));
    let args = ["backfill", "--room", "r", "--execute"];
    assert_eq!(end(start(&args, &engine, &ably, &retention)).await.status, 0);
    assert_eq!(verify(&["r"], &engine, &ably).await.status, 0);
    let rows = engine.rows().await;
    let expires = |row: &Item| row["expiresAt"].as_n().expect("a number").clone();
    let of = |kind: &str| {
        let is_it = |row: &&Item| row["sk"].as_s().is_ok_and(|sk| sk.starts_with(kind));
        rows.iter().find(is_it).expect("a row").clone()
    };
    let mut receipt = of("receipt#");
    assert_eq!(expires(&receipt), expires(&of("message#")));
    receipt.insert("expiresAt".into(), AttributeValue::N("1".into()));
    put(&engine, receipt).await;
    let verified = verify(&["r"], &engine, &ably).await;
    assert_eq!(verified.events("failed")[0]["reason"], "no receipt");
    // What would expire at once is not asked for.
    let short = [("RETENTION_DAYS", "1")];
    let ran = end(start(&args, &engine, &ably, &short)).await;
    assert_eq!((ran.status, &ran.summary()["messages"]), (0, &json!(0)), "{}", ran.errors);
}

/// A receipt vouches for what was looked at, and not for what was added to the settings since.
#[tokio::test]
async fn regression_a_receipt_that_covered_less_is_not_trusted() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 1, false, 1);
    message.publish(&ably, "r");
    ably.annotate(
        "r",
        &message.serial,
        json!({"action": 0, "serial": serial(1, 101).0, "messageSerial": message.serial,
               "type": "reaction:distinct.v1", "name": "👍", "clientId": "ana", "timestamp": EPOCH}),
    );
    let latest = [("VERSIONS", "latest"), ("REACTIONS", "none")];
    assert_eq!(with(&BACKFILL, &engine, &ably, &latest).await.status, 0);
    assert_eq!(rows_of(&engine, "version#").await.len(), 0);
    let none = [("REACTIONS", "none")];
    assert_eq!(with(&BACKFILL, &engine, &ably, &none).await.status, 0);
    assert_eq!(rows_of(&engine, "version#").await.len(), 2);
    assert_eq!(run(&BACKFILL, &engine, &ably).await.status, 0);
    assert_eq!(rows_of(&engine, "reactions#").await.len(), 1);
    let args = [&BACKFILL[..], &["--annotations"]].concat();
    assert_eq!(run(&args, &engine, &ably).await.status, 0);
    assert_eq!(rows_of(&engine, "reaction#").await.len(), 1);
    // The receipt of all that stands for less, too.
    let again = with(&BACKFILL, &engine, &ably, &latest).await;
    assert_eq!(again.events("room")[0]["messages"], json!(0), "{:?}", again.lines);
}

/// A receipt whose window was stretched does not make `run` pass over time.
#[tokio::test]
async fn regression_an_altered_receipt_is_noticed_and_not_gone_on_from() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(20);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let until = (EPOCH + 10_500).to_string();
    let args = [&BACKFILL[..], &["--until", &until]].concat();
    assert_eq!(run(&args, &engine, &ably).await.status, 0);
    let mut receipt = rows_of(&engine, "receipt#").await.remove(0);
    receipt.insert("until".into(), AttributeValue::N(now().to_string()));
    put(&engine, receipt).await;
    let verified = verify(&["r"], &engine, &ably).await;
    let problems = verified.events("receipt")[0]["problems"].to_string();
    assert!(verified.status == 1 && problems.contains("the receipt was altered"), "{problems}");
    assert_eq!(run(&BACKFILL, &engine, &ably).await.status, 0);
    check_room(&store(&engine), "r", &all).await;
}

/// What a later walk has repaired within an earlier receipt's page, breaks that no longer.
#[tokio::test]
async fn regression_a_mended_page_of_an_earlier_receipt_does_not_stay_broken() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(2, 2, false, 0);
    let others = [Message::new(1, 0, false, 0), Message::new(3, 0, false, 0)];
    for message in others.iter().chain([&message]) {
        message.publish(&ably, "r");
    }
    let hidden: BTreeSet<_> = [version_of(&message, 1)].into();
    ably.behave(|it| it.unlisted = hidden);
    assert_eq!(run(&BACKFILL, &engine, &ably).await.status, 0);
    ably.behave(|it| it.unlisted = BTreeSet::new());
    // A walk of a shorter window, which does not replace the receipt.
    let since = (EPOCH + 500).to_string();
    let full = [&REPAIR[..], &["--full", "--since", &since]].concat();
    let repaired = run(&full, &engine, &ably).await;
    assert_eq!((repaired.status, &repaired.summary()["repaired"]), (0, &json!(1)));
    let verified = verify(&["r"], &engine, &ably).await;
    assert_eq!((verified.status, verified.events("receipt").len()), (0, 2), "{:?}", verified.lines);
    assert_eq!(verified.events("receipt")[0]["superseded"], json!(true));
}

/// With RETENTION_DAYS, a receipt cannot begin before what has expired; `run` goes on from it all
/// the same.
#[tokio::test]
async fn regression_run_goes_on_from_receipts_under_a_retention() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    messages(5).iter().for_each(|message| message.publish(&ably, "r"));
    let days = ((now() - EPOCH) / 86_400_000 + 10).to_string();
    let retention = [("RETENTION_DAYS", days.as_str())];
    let first = with(&BACKFILL, &engine, &ably, &retention).await;
    assert_eq!((first.status, &first.summary()["messages"]), (0, &json!(5)), "{}", first.errors);
    let again = with(&BACKFILL, &engine, &ably, &retention).await;
    assert_eq!((again.status, &again.summary()["messages"]), (0, &json!(0)), "{:?}", again.lines);
}

/// A later walk over the same time, once Ably has forgotten, does not write over the receipt.
#[tokio::test]
async fn regression_a_receipt_of_the_same_window_is_not_written_over() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(10);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let until = (EPOCH + 100_000).to_string();
    let window = ["--until", until.as_str()];
    assert_eq!(run(&[&BACKFILL[..], &window].concat(), &engine, &ably).await.status, 0);
    let forgetful = Ably::start().await;
    let args = [&RECONCILE[..], &["--receipt"], &window].concat();
    assert_eq!(run(&args, &engine, &forgetful).await.status, 0);
    for kind in ["message#", "version#"] {
        for row in rows_of(&engine, kind).await {
            delete(&engine, &row).await;
        }
    }
    assert_eq!(verify(&["r"], &engine, &ably).await.status, 1);
}

/// A walk that found an altered record, and left it, does not replace the receipt that proves it
/// so; one that found reactions missing is none to go on from.
#[tokio::test]
async fn regression_what_a_walk_found_and_left_is_not_forgotten() {
    let world = Tampering::start(&[]).await;
    let [latest, own, _] = world.rows_of_edited();
    world.put(altered(&latest)).await;
    world.put(altered(&own)).await;
    assert_eq!(verify(&["r"], &world.engine, &world.ably).await.status, 1);
    let args = [&RECONCILE[..], &["--receipt"]].concat();
    assert_eq!(run(&args, &world.engine, &world.ably).await.status, 1);
    assert_eq!(verify(&["r"], &world.engine, &world.ably).await.status, 1);

    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 0, false, 2);
    message.publish(&ably, "r");
    deliver(&engine, [message.delivered("r", 0)]).await;
    assert_eq!(run(&args, &engine, &ably).await.status, 1);
    let ran = run(&BACKFILL, &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["repaired"]), (0, &json!(1)), "{:?}", ran.lines);
    check_room(&store(&engine), "r", &[message]).await;
}
