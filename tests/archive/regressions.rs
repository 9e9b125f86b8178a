//! What a hostile review found: walks, receipts and exit codes that said "complete" and were not.

use std::collections::BTreeSet;
use std::time::Duration;

use ably_chat_exporter::chat::{RoomName, Serial};
use ably_chat_exporter::store::{Settings, Versions};
use ably_chat_exporter::time::now;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use testkit::{Ably, Engine, Fault, FaultProxy, Item};

use crate::backfill::Tampering;
use crate::common::{EPOCH, ingest, send, serial};
use crate::common::history::{Message, archive, check_room, reactions};
use crate::program::{Ended, deliver, end, live, messages, run, signal, start, store, verify};

const RUN: [&str; 4] = ["run", "--room", "r", "--execute"];
const RECONCILE: [&str; 3] = ["reconcile", "--room", "r"];
const REPAIR: [&str; 4] = ["reconcile", "--room", "r", "--repair"];

async fn with(args: &[&str], engine: &Engine, ably: &Ably, more: &[(&str, &str)]) -> Ended {
    end(start(&[args, &["--pace", "10000"]].concat(), engine, ably, more)).await
}

async fn rows_of(engine: &Engine, kind: &str) -> Vec<Item> {
    let rows = engine.rows().await.into_iter();
    rows.filter(|row| row["sk"].as_s().is_ok_and(|sk| sk.starts_with(kind))).collect()
}

async fn put(engine: &Engine, item: Item) {
    let put = engine.client().put_item().table_name(Engine::TABLE);
    put.set_item(Some(item)).send().await.expect("a put");
}

async fn delete(engine: &Engine, row: &Item) {
    let key = ["pk", "sk"].map(|name| (name.to_owned(), row[name].clone()));
    let delete = engine.client().delete_item().table_name(Engine::TABLE);
    delete.set_key(Some(key.into())).send().await.expect("a removal");
}

fn altered(row: &Item) -> Item {
    let mut row = row.clone();
    row.insert("text".into(), AttributeValue::S("never said".into()));
    row
}

fn version_of(message: &Message, version: usize) -> String {
    message.versions[version]["version"]["serial"].as_str().expect("a serial").to_owned()
}

/// A list of versions may lag behind the page, and one version behind another: a message that was
/// compared in such a moment is compared again.
#[tokio::test]
async fn regression_a_version_that_was_not_listed_yet_is_found_later() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 2, false, 0);
    message.publish(&ably, "r");
    let hidden: BTreeSet<_> = [version_of(&message, 1), version_of(&message, 2)].into();
    ably.behave(|it| it.unlisted = hidden);
    assert_eq!(run(&RUN, &engine, &ably).await.status, 0);
    ably.behave(|it| it.unlisted = BTreeSet::new());
    let found = run(&RECONCILE, &engine, &ably).await;
    assert_eq!((found.status, found.events("finding").len()), (1, 1), "{:?}", found.lines);
    assert_eq!(found.events("finding")[0]["version"], json!(version_of(&message, 1)));
    assert_eq!(run(&REPAIR, &engine, &ably).await.status, 0);
    check_room(&store(&engine), "r", &[message]).await;
}

/// The same where the list shows the page's own version, which was made just now.
#[tokio::test]
async fn regression_versions_of_the_last_minute_are_not_taken_for_all() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let mut message = Message::new(1, 2, false, 0);
    for (version, ago) in [(1, 21_000), (2, 20_000)] {
        let made = now() - ago;
        message.versions[version]["version"] =
            json!({"serial": format!("{made:014}-000@aBcDeFgHi12345678:000"), "timestamp": made});
    }
    message.publish(&ably, "r");
    let hidden: BTreeSet<_> = [version_of(&message, 1)].into();
    ably.behave(|it| it.unlisted = hidden);
    assert_eq!(run(&RUN, &engine, &ably).await.status, 0);
    ably.behave(|it| it.unlisted = BTreeSet::new());
    let found = run(&RECONCILE, &engine, &ably).await;
    assert_eq!(found.events("finding")[0]["version"], json!(version_of(&message, 1)));
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
    assert_eq!(with(&RUN, &engine, &ably, &latest).await.status, 0);
    assert_eq!(rows_of(&engine, "version#").await.len(), 0);
    let none = [("REACTIONS", "none")];
    assert_eq!(with(&RUN, &engine, &ably, &none).await.status, 0);
    assert_eq!(rows_of(&engine, "version#").await.len(), 2);
    assert_eq!(run(&RUN, &engine, &ably).await.status, 0);
    assert_eq!(rows_of(&engine, "reactions#").await.len(), 1);
    let args = [&RUN[..], &["--annotations"]].concat();
    assert_eq!(run(&args, &engine, &ably).await.status, 0);
    assert_eq!(rows_of(&engine, "reaction#").await.len(), 1);
    // The receipt of all that stands for less, too.
    let again = with(&RUN, &engine, &ably, &latest).await;
    assert_eq!(again.events("room")[0]["messages"], json!(0), "{:?}", again.lines);
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
    stopped_walk(&engine, &ably, &RUN).await;
    let mut checkpoint = rows_of(&engine, "checkpoint#").await.remove(0);
    let long_ago = AttributeValue::N((now() - 2 * 86_400_000).to_string());
    assert!(checkpoint.insert("savedAt".into(), long_ago).is_some());
    put(&engine, checkpoint).await;
    let edited = Message::new(1, 1, false, 0);
    ably.publish("r", edited.versions[1].clone());
    all[0] = edited;
    let ended = run(&RUN, &engine, &ably).await;
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
    let args = [&RECONCILE[..], &["--receipt"]].concat();
    stopped_walk(&engine, &ably, &args).await;
    let ended = run(&args, &engine, &ably).await;
    assert!(ended.events("room")[0]["resumed"].as_u64() > Some(0), "{:?}", ended.lines);
    assert_eq!((ended.status, &ended.summary()["missing"]), (1, &json!(1)), "{:?}", ended.lines);
    assert_eq!(ended.summary()["messages"], 100);
}

/// The note that spares older versions from being asked for is a digest of them.
#[tokio::test]
async fn regression_an_altered_older_version_is_found_and_mended() {
    let world = Tampering::start(&[]).await;
    let [_, latest, older] = world.rows_of_edited();
    world.put(altered(&older)).await;
    let found = run(&RECONCILE, &world.engine, &world.ably).await;
    assert_eq!((found.status, &found.summary()["different"]), (1, &json!(1)), "{:?}", found.lines);
    assert_eq!(found.events("finding")[0]["members"], json!(["text"]));
    assert_eq!(run(&REPAIR, &world.engine, &world.ably).await.status, 0);
    let rows = rows_of(&world.engine, "version#").await;
    assert!(rows.iter().any(|row| row["sk"] == older["sk"] && row["text"] == older["text"]));
    // Whoever forges the note too is found by a full comparison.
    world.put(altered(&older)).await;
    let room = archive(&store(&world.engine), "r").await;
    let version = Serial(version_of(&world.edited, world.edited.versions.len() - 1));
    let (_, digest) = room[&Serial(world.edited.serial.clone())].digest(&version);
    let mut forged = latest.clone();
    forged.insert("versionsSha256".into(), AttributeValue::S(digest));
    world.put(forged).await;
    assert_eq!(run(&RECONCILE, &world.engine, &world.ably).await.status, 0);
    let full = run(&[&RECONCILE[..], &["--full"]].concat(), &world.engine, &world.ably).await;
    assert_eq!((full.status, &full.summary()["different"]), (1, &json!(1)), "{:?}", full.lines);
    let mended = run(&[&REPAIR[..], &["--full"]].concat(), &world.engine, &world.ably).await;
    assert_eq!(mended.status, 0, "{:?}", mended.lines);
    check_room(&store(&world.engine), "r", &messages(30)).await;
}

/// A receipt whose window was stretched does not make `run` pass over time.
#[tokio::test]
async fn regression_an_altered_receipt_is_noticed_and_not_gone_on_from() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(20);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let until = (EPOCH + 10_500).to_string();
    let args = [&RUN[..], &["--until", &until]].concat();
    assert_eq!(run(&args, &engine, &ably).await.status, 0);
    let mut receipt = rows_of(&engine, "receipt#").await.remove(0);
    receipt.insert("until".into(), AttributeValue::N(now().to_string()));
    put(&engine, receipt).await;
    let verified = verify(&["r"], &engine, &ably).await;
    let problems = verified.events("receipt")[0]["problems"].to_string();
    assert!(verified.status == 1 && problems.contains("the receipt was altered"), "{problems}");
    assert_eq!(run(&RUN, &engine, &ably).await.status, 0);
    check_room(&store(&engine), "r", &all).await;
}

/// One repair is enough, also where several rows of one version were damaged in several ways.
#[tokio::test]
async fn regression_one_repair_mends_combined_damage() {
    for lost in 0..2 {
        let world = Tampering::start(&[]).await;
        let [latest, own, older] = world.rows_of_edited();
        let pair = [latest, own];
        world.delete(&pair[lost]).await;
        world.put(altered(&pair[1 - lost])).await;
        world.put(altered(&older)).await;
        let repaired = run(&REPAIR, &world.engine, &world.ably).await;
        let counts = ["missing", "different", "repaired"].map(|name| &repaired.summary()[name]);
        assert_eq!(counts, [&json!(1), &json!(2), &json!(3)], "{:?}", repaired.lines);
        assert_eq!(repaired.status, 0);
        let again = run(&RECONCILE, &world.engine, &world.ably).await;
        assert_eq!((again.status, again.events("finding").len()), (0, 0), "{:?}", again.lines);
        check_room(&store(&world.engine), "r", &messages(30)).await;
        assert_eq!(verify(&["r"], &world.engine, &world.ably).await.status, 0);
    }
}

/// README's own four commands, after somebody has removed a row.
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

/// What a later walk has mended within an earlier receipt's page, breaks that no longer.
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
    assert_eq!(run(&RUN, &engine, &ably).await.status, 0);
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
        let args = [&RECONCILE[..], &["--receipt", "--since", &since]].concat();
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

/// Live summaries may name no version. A repair does not put itself above all that come after it.
#[tokio::test]
async fn regression_reactions_do_not_freeze_after_a_repair() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 2, false, 0);
    message.publish(&ably, "r");
    live(&engine, "r", std::slice::from_ref(&message)).await;
    let summary = |total| {
        let mut delivered = message.delivered_reactions("r", total);
        delivered["messages"][0].as_object_mut().expect("an object").remove("version");
        delivered
    };
    let total = async || archive(&store(&engine), "r").await[&serial(1, 0)].reactions.clone();
    let total = async || total().await.map(|it| it.summary.reactions.distinct["👍"].total);
    for heard_before in [false, true] {
        if heard_before {
            deliver(&engine, [summary(1)]).await;
        }
        ably.react("r", &message.serial, reactions(2));
        assert_eq!(run(&REPAIR, &engine, &ably).await.status, 0);
        assert_eq!(total().await, Some(2));
        let ingest = ingest(&engine, Settings::default());
        let body = summary(3).to_string();
        let record = ably_chat_exporter::ingest::Record {
            id: "after",
            body: body.as_bytes(),
            received_at: now(),
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        assert_eq!(ingest.ingest(&[record], deadline).await[0].stored, 1);
        assert_eq!(total().await, Some(3));
        delete(&engine, &rows_of(&engine, "reactions#").await[0]).await;
    }
}

/// `VERSIONS` both, then all: the row of the latest version does not show what was deleted since.
#[tokio::test]
async fn regression_a_row_that_another_setting_left_is_not_left_behind() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = [Message::new(1, 1, true, 0), Message::new(2, 0, true, 0)];
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let creates = all.iter().map(|message| message.delivered("r", 0));
    deliver(&engine, creates).await;
    let settings = Settings { versions: Versions::All, ..Settings::default() };
    let live = ingest(&engine, settings);
    for version in [2, 1] {
        let body = all[0].delivered("r", version).to_string();
        let report = send(&live, "d", body.as_bytes()).await;
        assert_eq!((report.stored, report.failed.len()), (1, 0));
    }
    let texts = async || {
        let rows = rows_of(&engine, "message#").await;
        rows.iter().map(|row| row["text"].as_s().expect("text").clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts().await, ["", "text 2 0"]);
    // A deletion that was not delivered: the walk does likewise.
    let setting = [("VERSIONS", "all")];
    let found = with(&RECONCILE, &engine, &ably, &setting).await;
    assert_eq!(found.events("finding")[0]["gap"], "older", "{:?}", found.lines);
    assert_eq!(with(&REPAIR, &engine, &ably, &setting).await.status, 0);
    assert_eq!(texts().await, ["", ""]);
    assert_eq!(with(&RECONCILE, &engine, &ably, &setting).await.status, 0);
    // What such a row alone has held, is kept as a version of its own.
    let latest = Settings { versions: Versions::Latest, ..Settings::default() };
    let edited = Message::new(4, 1, false, 0);
    let body = edited.delivered("r", 0).to_string();
    assert_eq!(send(&ingest(&engine, latest), "d", body.as_bytes()).await.stored, 1);
    let body = edited.delivered("r", 1).to_string();
    assert_eq!(send(&live, "d", body.as_bytes()).await.stored, 1);
    let archive = archive(&store(&engine), "r").await;
    assert_eq!(archive[&serial(4, 0)].versions.len(), 2);
    assert_eq!(texts().await, ["", "", "text 4 1"]);
    // A message that is new has no such row.
    let body = Message::new(3, 1, false, 0).delivered("r", 1).to_string();
    assert_eq!(send(&live, "d", body.as_bytes()).await.stored, 1);
    assert_eq!(rows_of(&engine, "message#").await.len(), 3);
}

/// A mistyped room is no complete one.
#[tokio::test]
async fn regression_a_room_that_nobody_knows_is_said_to_be_unknown() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    Message::new(1, 0, false, 0).publish(&ably, "r");
    let args = ["run", "--room", "r", "--room", "R", "--execute"];
    for _ in 0..2 {
        let ran = run(&args, &engine, &ably).await;
        assert_eq!(ran.status, 1, "{:?}", ran.lines);
        assert_eq!(ran.summary()["rooms"]["unknown"], json!(["R"]));
    }
    let receipts = rows_of(&engine, "receipt#").await;
    let rooms: BTreeSet<_> = receipts.iter().map(|row| row["pk"].as_s().expect("a room")).collect();
    assert_eq!(rooms, BTreeSet::from([&"r".to_owned()]));
    // A room that was quiet of late is another matter.
    live(&engine, "quiet", &[Message::new(1, 0, false, 0)]).await;
    let ran = run(&["run", "--room", "quiet", "--execute"], &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["rooms"]["walked"]), (0, &json!(1)), "{:?}", ran.lines);
}

/// `rooms` lists what the index knows.
#[tokio::test]
async fn rooms_are_listed_with_their_days() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let store = store(&engine);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    for (room, at) in [("a", EPOCH), ("a", EPOCH + 86_400_000), ("b", EPOCH), ("a", EPOCH + 5)] {
        let noted = store.see_room(&RoomName(room.into()), at, deadline).await;
        noted.expect("it is noted");
    }
    let listed = end(start(&["rooms", "--since", "2026-01-01"], &engine, &ably, &[])).await;
    let rooms: Vec<_> = listed.events("room").into_iter().cloned().collect();
    let room = |name, days, last| json!({"event": "room", "room": name, "days": days, "first": "2026-01-01", "last": last});
    assert_eq!(rooms, [room("a", 2, "2026-01-02"), room("b", 1, "2026-01-01")]);
    assert_eq!((listed.status, &listed.summary()["rooms"]), (0, &json!(2)));
}

/// A check writes nothing unless it is asked to.
#[tokio::test]
async fn regression_a_comparison_writes_nothing() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(30);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    live(&engine, "r", &all[..20]).await;
    let before = engine.rows().await;
    let found = run(&RECONCILE, &engine, &ably).await;
    assert_eq!((found.status, &found.summary()["executed"]), (1, &json!(false)));
    assert_eq!(engine.rows().await, before);
    let found = run(&[&RECONCILE[..], &["--receipt"]].concat(), &engine, &ably).await;
    assert_eq!((found.status, rows_of(&engine, "receipt#").await.len()), (1, 1));
    assert_eq!(engine.rows().await.len(), before.len() + 1);
}

/// SIGTERM ends a walk at once, also between attempts at a request that Ably does not answer.
#[tokio::test]
async fn regression_sigterm_does_not_wait_for_retries() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    messages(3).iter().for_each(|message| message.publish(&ably, "r"));
    ably.behave(|it| it.failures = Some((0, &[503])));
    let child = start(&RUN, &engine, &ably, &[]);
    ably.wait_for_requests(2).await;
    signal(&child, "-TERM");
    let ended = tokio::time::timeout(Duration::from_secs(20), end(child)).await;
    let ended = ended.expect("it ends long before its last attempt");
    assert_eq!(ended.status, 130, "{}", ended.errors);
    assert_eq!(ended.summary()["rooms"]["stopped"], json!(["r"]));
}

/// Small things that people trip over.
#[tokio::test]
async fn regression_files_flags_and_errors_are_as_people_expect() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    for room in ["one", "two"] {
        Message::new(1, 0, false, 0).publish(&ably, room);
    }
    let file = std::env::temp_dir().join(format!("ably-chat-marked-{}", std::process::id()));
    std::fs::write(&file, "\u{feff}one\r\ntwo\r\n").expect("a file");
    let path = file.to_str().expect("a path");
    let args = ["run", "--rooms-file", path, "--execute", "--json", "--quiet"];
    let ran = run(&args, &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["rooms"]["walked"]), (0, &json!(2)), "{:?}", ran.lines);
    assert_eq!(ran.errors, "", "quiet");
    let usd = ran.summary()["usd"].as_f64().expect("a price");
    let units = ran.summary()["writeUnits"].as_f64().expect("units");
    assert!((usd - units * 0.625 / 1e6).abs() < 1e-9 && ran.summary()["seconds"].is_number());
    // A key that is refused is said once, and the summary comes after it.
    let wrong = [("ABLY_API_KEY", "aB3dEf.other:wrong-but-long")];
    let args = ["run", "--rooms-file", path, "--since", "2026-01-01"];
    let ran = with(&args, &engine, &ably, &wrong).await;
    std::fs::remove_file(&file).expect("the file is removed");
    assert_eq!(ran.status, 2);
    assert_eq!(ran.errors.matches("ABLY_API_KEY is refused").count(), 1, "{}", ran.errors);
    assert!(ran.summary()["error"].as_str().expect("an error").contains("refused"));
    assert_eq!(ran.events("failed"), Vec::<&Value>::new());
}

/// With RETENTION_DAYS, a receipt cannot begin before what has expired; `run` goes on from it all
/// the same.
#[tokio::test]
async fn regression_run_goes_on_from_receipts_under_a_retention() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    messages(5).iter().for_each(|message| message.publish(&ably, "r"));
    let days = ((now() - EPOCH) / 86_400_000 + 10).to_string();
    let retention = [("RETENTION_DAYS", days.as_str())];
    let first = with(&RUN, &engine, &ably, &retention).await;
    assert_eq!((first.status, &first.summary()["messages"]), (0, &json!(5)), "{}", first.errors);
    let again = with(&RUN, &engine, &ably, &retention).await;
    assert_eq!((again.status, &again.summary()["messages"]), (0, &json!(0)), "{:?}", again.lines);
}

/// The most memory that a program has had so far, in KB; `None` once it has ended.
fn peak_memory(child: &tokio::process::Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()?)).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Sixteen rooms of large messages at once: pages share one budget, in bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regression_memory_is_bounded_by_bytes_and_not_by_messages() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let file = std::env::temp_dir().join(format!("ably-chat-large-{}", std::process::id()));
    let rooms: Vec<String> = (0..16).map(|room| format!("room {room}")).collect();
    std::fs::write(&file, rooms.join("\n")).expect("a file");
    for room in &rooms {
        for number in 1..=40 {
            let mut message = Message::new(number, 0, false, 0);
            message.versions[0]["text"] = json!("x".repeat(250_000));
            message.publish(&ably, room);
        }
    }
    let args = ["run", "--rooms-file", file.to_str().expect("a path"), "--execute"];
    let args = [&args[..], &["--pace", "10000", "--quiet"]].concat();
    let mut child = start(&args, &engine, &ably, &[("VERSIONS", "latest")]);
    let mut peak = 0;
    while child.try_wait().expect("it can be asked").is_none() {
        peak = peak_memory(&child).map_or(peak, |found| found.max(peak));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = end(child).await;
    std::fs::remove_file(&file).expect("the file is removed");
    assert_eq!((ended.status, &ended.summary()["repaired"]), (0, &json!(640)), "{}", ended.errors);
    assert!((1..200_000).contains(&peak), "{peak} KB");
}

/// A room that lost everything is in no index, until a walk stores something of it.
#[tokio::test]
async fn regression_a_walk_notes_the_room_that_it_stores_something_of() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    Message::new(1, 0, false, 0).publish(&ably, "r");
    for (args, rooms) in [(&RUN[..3], 0), (&RUN[..], 1), (&REPAIR[..], 1)] {
        let ran = run(args, &engine, &ably).await;
        assert!(ran.status < 2, "{}", ran.errors);
        let listed = end(start(&["rooms"], &engine, &ably, &[])).await;
        assert_eq!(listed.summary()["rooms"], json!(rooms), "{args:?}");
    }
    let off = [("ROOM_INDEX", "off")];
    let engine = Engine::start().await;
    assert_eq!(with(&RUN, &engine, &ably, &off).await.status, 0);
    assert_eq!(end(start(&["rooms"], &engine, &ably, &[])).await.summary()["rooms"], 0);
}

/// Pages of large messages that have versions: who asks for versions holds a page, and waits for none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regression_memory_for_pages_is_not_waited_for_by_who_holds_it() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let rooms: Vec<String> = (0..12).map(|room| format!("room {room}")).collect();
    for room in &rooms {
        for number in 1..=30 {
            let mut message = Message::new(number, 1, false, 0);
            message.versions[1]["text"] = json!("x".repeat(200_000));
            message.publish(&ably, room);
        }
    }
    let rooms = rooms.iter().flat_map(|room| ["--room", room.as_str()]);
    let args: Vec<&str> = ["run", "--pace", "10000"].into_iter().chain(rooms).collect();
    let child = start(&args, &engine, &ably, &[]);
    let ended = tokio::time::timeout(Duration::from_secs(120), end(child)).await;
    let ended = ended.expect("nobody waits for ever");
    assert_eq!((ended.status, &ended.summary()["messages"]), (1, &json!(360)), "{}", ended.errors);
}

/// A later walk over the same time, once Ably has forgotten, does not write over the receipt.
#[tokio::test]
async fn regression_a_receipt_of_the_same_window_is_not_written_over() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(10);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let until = (EPOCH + 100_000).to_string();
    let window = ["--until", until.as_str()];
    assert_eq!(run(&[&RUN[..], &window].concat(), &engine, &ably).await.status, 0);
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

/// A walk that found an altered record, and left it, does not replace the receipt that proves it so;
/// one that found reactions missing is none to go on from.
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
    let ran = run(&RUN, &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["repaired"]), (0, &json!(1)), "{:?}", ran.lines);
    check_room(&store(&engine), "r", &[message]).await;
}

/// An event whose summary cannot be read says nothing of what reactions are left.
#[tokio::test]
async fn regression_an_unreadable_summary_does_not_wipe_reactions() {
    let engine = Engine::start().await;
    let message = Message::new(1, 0, false, 2);
    live(&engine, "r", std::slice::from_ref(&message)).await;
    for odd in [json!([]), json!({"summary": 7})] {
        let mut event = message.delivered_reactions("r", 3);
        event["messages"][0]["annotations"] = odd;
        deliver(&engine, [event]).await;
        check_room(&store(&engine), "r", std::slice::from_ref(&message)).await;
    }
    let mut event = message.delivered_reactions("r", 3);
    event["messages"][0]["annotations"] = json!({"summary": {}});
    deliver(&engine, [event]).await;
    check_room(&store(&engine), "r", &[Message { reactions: 0, ..message }]).await;
}
