//! `verify`: what a receipt proves.

use ably_chat_exporter::time::now;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use testkit::{Ably, Engine, Fault, FaultProxy};

use crate::common::EPOCH;
use crate::common::history::Message;
use crate::program::{RECONCILE, REPAIR, deliver, end, live, messages, run, start, verify};
use crate::rows::{Tampering, delete, rows_of};

/// The receipt sees what is no longer as it was, in every kind of row.
#[tokio::test]
async fn verify_finds_what_was_done_behind_its_back() {
    let world = Tampering::start(&[]).await;
    assert_eq!(world.problems().await, "[]");
    // What comes later is not what the receipt saw.
    live(&world.engine, "r", &[Message::new(31, 2, false, 0)]).await;
    let mut edit = world.edited.delivered("r", 1);
    let now = now();
    edit["messages"][0]["version"] =
        json!({"serial": format!("{now:014}-000@aBcDeFgHi12345678:000"), "timestamp": now});
    deliver(&world.engine, [edit]).await;
    assert_eq!(world.problems().await, "[]");
    let differ = "altered, its two rows differ in text";
    for (original, word) in world.rows_of_edited().iter().zip([differ, differ, "altered, "]) {
        let mut altered = original.clone();
        altered.insert("text".into(), AttributeValue::S("never said".into()));
        world.put(altered).await;
        assert!(world.problems().await.contains(word), "{}", world.problems().await);
        world.put(original.clone()).await;
    }
    let [latest, ..] = world.rows_of_edited();
    let mut unreadable = latest.clone();
    unreadable.remove("text");
    world.put(unreadable).await;
    assert!(world.problems().await.contains("is not one of this program's"));
    world.put(latest).await;
    let gone = ["the row of the latest version is gone", "is gone", "1 of "];
    for (original, word) in world.rows_of_edited().iter().zip(gone) {
        world.delete(original).await;
        assert!(world.problems().await.contains(word), "{}", world.problems().await);
        world.put(original.clone()).await;
    }
    assert_eq!(world.problems().await, "[]");
}

/// A receipt that was made to fit is noticed; one that is kept elsewhere cannot be.
#[tokio::test]
async fn receipts_may_be_kept_as_files() {
    let directory = std::env::temp_dir().join(format!("ably-chat-receipts-{}", std::process::id()));
    let world = Tampering::start(&["--receipts", directory.to_str().expect("a path")]).await;
    let file = std::fs::read_dir(&directory).expect("a directory").next().expect("a receipt");
    let file = file.expect("a receipt").path();
    let from_file = async || {
        let args = ["verify", "--receipt", file.to_str().expect("a path")];
        end(start(&args, &world.engine, &world.ably, &[])).await
    };
    assert_eq!(from_file().await.status, 0);
    let mut receipt = world.row("receipt#");
    receipt.insert("pages".into(), AttributeValue::L(Vec::new()));
    world.put(receipt).await;
    world.delete(&world.rows_of_edited()[2]).await;
    assert!(world.problems().await.contains("the receipt was altered"));
    let verified = from_file().await;
    assert_eq!(verified.status, 1);
    assert!(verified.events("receipt")[0]["problems"].to_string().contains("1 of "));
    std::fs::remove_dir_all(&directory).expect("the directory is removed");
}

/// The four commands of docs/BACKFILL.md, after somebody has removed a row.
#[tokio::test]
async fn regression_verify_holds_once_a_gap_was_mended() {
    let world = Tampering::start(&[]).await;
    let [latest, _, older] = world.rows_of_edited();
    world.delete(&latest).await;
    world.delete(&older).await;
    assert_eq!(verify(&["r"], &world.engine, &world.ably).await.status, 1);
    assert_eq!(run(&RECONCILE, &world.engine, &world.ably).await.status, 1);
    assert_eq!(run(&REPAIR, &world.engine, &world.ably).await.status, 0);
    let verified = verify(&["r"], &world.engine, &world.ably).await;
    assert_eq!(verified.status, 0, "{:?}", verified.lines);
    assert_eq!(rows_of(&world.engine, "receipt#").await.len(), 1);
}

/// Thirty receipts of one room are verified in one reading of it.
#[tokio::test]
async fn regression_verify_reads_a_room_once() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(40);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    live(&engine, "r", &all).await;
    // Each begins a little later, so that none replaces another: Ably forgets what is old.
    let receipts = |count: i64| (0..count).map(|it| (EPOCH + it * 1_000).to_string());
    for since in receipts(30) {
        let args = [&RECONCILE[..], &["--leave-receipt", "--since", &since]].concat();
        assert_eq!(run(&args, &engine, &ably).await.status, 0);
    }
    assert_eq!(rows_of(&engine, "receipt#").await.len(), 30);
    let verified = async || {
        let proxy = FaultProxy::start(&engine.env()[0].1, |_| Fault::None).await;
        let endpoint = [("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.as_str())];
        let ended = end(start(&["verify", "--room", "r"], &engine, &ably, &endpoint)).await;
        assert_eq!(ended.status, 0, "{:?}", ended.lines);
        (ended.events("receipt").len(), proxy.requests())
    };
    let (count, requests) = verified().await;
    assert_eq!(count, 30);
    for receipt in &rows_of(&engine, "receipt#").await[1..] {
        delete(&engine, receipt).await;
    }
    assert_eq!(verified().await, (1, requests));
}
