//! `reconcile`: which gaps it finds, and what a repair leaves.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::{Ably, Engine, Item};

use crate::common::history::{Message, archive, check_room};
use crate::common::serial;
use crate::program::{RECONCILE, REPAIR, deliver, live, messages, run, store, verify};
use crate::rows::{Tampering, altered, rows_of};

/// What is delivered of messages if some of everything is dropped, and the gaps by message.
fn drop_some(all: &[Message]) -> (Vec<Value>, BTreeMap<String, Vec<&'static str>>) {
    let mut expected: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut bodies = Vec::new();
    for (number, message) in all.iter().enumerate() {
        let versions = message.versions.len();
        let mut gap = |what| expected.entry(message.serial.clone()).or_default().push(what);
        // The create, the last version or one in the middle was dropped; or everything.
        let dropped: Vec<usize> = match (number % 4, versions) {
            (0, 1) => vec![0],
            (0, _) => vec![versions - 1],
            (1, 2..) => vec![0],
            (2, 3..) => vec![1],
            _ => vec![],
        };
        for version in &dropped {
            gap(if *version > 0 && *version == versions - 1 { "older" } else { "missing" });
        }
        let kept = (0..versions).filter(|version| !dropped.contains(version));
        bodies.extend(kept.map(|version| message.delivered("r", version)));
        match (message.reactions, number % 3) {
            (0, _) => {}
            (total, 0) => bodies.push(message.delivered_reactions("r", total)),
            (_, 1) => gap("reactions"),
            (total, _) => {
                bodies.push(message.delivered_reactions("r", total + 1));
                gap("reactions");
            }
        }
    }
    (bodies, expected)
}

/// Ably dropped some of everything; conflated versions and what the table knows better are no gaps.
#[tokio::test]
async fn reconcile_finds_what_was_dropped_and_nothing_else() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(60);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let (mut bodies, expected) = drop_some(&all);
    // A version that another one overtook at Ably, but not on its way here.
    let overtaken = Message::new(3, 2, false, 0);
    bodies.push(overtaken.delivered("r", 1));
    bodies.push(overtaken.delivered("r", 2));
    ably.publish("r", overtaken.versions[2].clone());
    deliver(&engine, bodies).await;
    let found = run(&["reconcile", "--room", "r"], &engine, &ably).await;
    assert_eq!(found.status, 1, "{}", found.errors);
    let mut gaps: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for finding in found.events("finding") {
        let serial = finding["serial"].as_str().unwrap().to_owned();
        gaps.entry(serial).or_default().push(finding["gap"].as_str().unwrap());
    }
    assert_eq!(gaps, expected);
    assert!(gaps.len() > 15, "{gaps:?}");
    let before = ably.requests();
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!(repaired.status, 0, "{}", repaired.errors);
    assert!(ably.requests()[2] > before[2]);
    // A complete window: one request for its page, no row but the receipt's; and none for versions,
    // but for the message of which the table knows more than Ably.
    let (before, rows) = (ably.requests(), engine.rows().await);
    let again = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!((again.status, again.events("finding").len()), (0, 0));
    assert_eq!(again.summary()["found"], again.summary()["versions"]);
    let after = ably.requests();
    assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [2, 1, 1]);
    let is_row = |row: &&Item| !row["sk"].as_s().unwrap().starts_with("receipt#");
    let now = engine.rows().await;
    assert!(now.iter().filter(is_row).eq(rows.iter().filter(is_row)));
    // The receipt, in place of the one before.
    assert_eq!(again.summary()["writeUnits"], 2);
}

/// Ably's record of a version wins on repair, and only then; the error names members, no content.
#[tokio::test]
async fn rest_wins_on_repair() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let mut message = Message::new(1, 1, false, 0);
    message.publish(&ably, "r");
    let last = message.versions.len() - 1;
    for version in &mut message.versions {
        version["metadata"] = json!({"secret": "not at Ably"});
    }
    let mut live = message.delivered("r", last);
    live["messages"][0]["extras"] = json!({"headers": {"rule": "added"}});
    deliver(&engine, [message.delivered("r", 0), live]).await;
    let filled = run(&["backfill", "--room", "r", "--execute"], &engine, &ably).await;
    assert_eq!((filled.status, filled.events("finding").len()), (1, 2), "{}", filled.errors);
    let found = run(&["reconcile", "--room", "r"], &engine, &ably).await;
    let members: Vec<_> = found.events("finding").iter().map(|it| it["members"].clone()).collect();
    assert_eq!(members, [json!(["metadata"]), json!(["metadata", "headers"])]);
    assert_eq!((found.status, &found.summary()["different"]), (1, &json!(2)));
    let row = &archive(&store(&engine), "r").await[&serial(1, 0)];
    assert!(row.latest.as_ref().unwrap().metadata.as_str().contains("not at Ably"));
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!((repaired.status, &repaired.summary()["repaired"]), (0, &json!(2)));
    check_room(&store(&engine), "r", &[Message::new(1, 1, false, 0)]).await;
    let row = &archive(&store(&engine), "r").await[&serial(1, 0)];
    assert_eq!(row.latest.as_ref().unwrap().headers.as_str(), "{}");
}

/// Members that Ably leaves out are kept, also where it is right about another.
#[tokio::test]
async fn what_only_the_table_has_outlives_a_repair() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 0, false, 0);
    message.publish(&ably, "r");
    let mut live = message.delivered("r", 0);
    live["messages"][0]["version"]["clientId"] = json!("ana");
    live["messages"][0]["extras"] = json!({"userClaim": "vip"});
    deliver(&engine, [live.clone()]).await;
    let same = run(&["reconcile", "--room", "r"], &engine, &ably).await;
    assert_eq!((same.status, same.events("finding").len()), (0, 0));
    let engine = Engine::start().await;
    live["messages"][0]["extras"]["headers"] = json!({"rule": "added"});
    deliver(&engine, [live]).await;
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!(
        (repaired.status, &repaired.events("finding")[0]["members"]),
        (0, &json!(["headers"]))
    );
    let row = &archive(&store(&engine), "r").await[&serial(1, 0)];
    let latest = row.latest.as_ref().expect("a message");
    assert_eq!((latest.headers.as_str(), latest.user_claim.as_deref()), ("{}", Some("vip")));
    assert_eq!(latest.version.client_id.as_deref(), Some("ana"));
}

/// What the Chat API cannot show is no difference: an archive that decrypted it keeps it.
#[tokio::test]
async fn content_that_ably_cannot_show_is_kept() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let mut message = Message::new(1, 0, false, 0);
    deliver(&engine, [message.delivered("r", 0)]).await;
    (message.versions[0]["text"], message.versions[0]["metadata"]) = (json!(""), json!({}));
    message.publish(&ably, "r");
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!((repaired.status, repaired.events("finding").len()), (0, 0));
    check_room(&store(&engine), "r", &[Message::new(1, 0, false, 0)]).await;
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
    let found = run(&[&RECONCILE[..], &["--leave-receipt"]].concat(), &engine, &ably).await;
    assert_eq!((found.status, rows_of(&engine, "receipt#").await.len()), (1, 1));
    assert_eq!(engine.rows().await.len(), before.len() + 1);
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
