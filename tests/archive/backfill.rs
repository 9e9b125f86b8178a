//! `backfill`: the dry run's bill, the walk over pages, and what is stored.

use std::time::Duration;

use serde_json::json;
use testkit::{Ably, Behaviour, Engine, Item};

use crate::common::history::{Message, check_room};
use crate::common::{EPOCH, serial};
use crate::program::{deliver, live, messages, run, store, verify};

#[tokio::test]
async fn a_dry_run_writes_nothing_and_its_bill_is_what_the_run_then_uses() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(120);
    for message in &all {
        message.publish(&ably, "support:42");
    }
    live(&engine, "support:42", &all[..40]).await;
    let before = engine.rows().await;
    let dry = run(&["backfill", "--room", "support:42"], &engine, &ably).await;
    assert_eq!(dry.status, 1, "something is missing; {}", dry.errors);
    assert_eq!(engine.rows().await, before);
    let bill = dry.summary();
    assert_eq!((&bill["executed"], &bill["repaired"]), (&json!(false), &json!(0)));
    let ran = run(&["backfill", "--room", "support:42", "--execute"], &engine, &ably).await;
    assert_eq!(ran.status, 0, "{}", ran.errors);
    let used = ran.summary();
    for member in ["ablyMessages", "ablyRequests", "writeUnits", "messages", "versions", "missing"]
    {
        assert_eq!(used[member], bill[member], "{member}");
    }
    assert_eq!(
        used["repaired"].as_u64().unwrap(),
        used["missing"].as_u64().unwrap() + used["reactions"].as_u64().unwrap()
    );
    check_room(&store(&engine), "support:42", &all).await;
    // Each row below 1 KB is one unit, and so is the note on an edited message's latest version.
    let after = engine.rows().await;
    let settled = |row: &&Item| row.contains_key("versionsSha256");
    let edited = all.iter().filter(|message| message.versions.len() > 1).count();
    assert_eq!(after.iter().filter(settled).count(), edited);
    let units = after.len() - before.len() + edited;
    assert_eq!(used["writeUnits"], json!(units));
    let verified = verify(&["support:42"], &engine, &ably).await;
    assert_eq!(verified.status, 0, "{:?}", verified.lines);
}

/// Whatever the pages look like, everything is stored, once.
#[tokio::test]
async fn every_way_of_paging_is_followed() {
    let behaviours: [fn(&mut Behaviour); 7] = [
        |it| it.page = 7,
        |it| (it.page, it.is_link_joined, it.is_end_included) = (10, true, true),
        |it| (it.page, it.empty_pages) = (10, Some(2)),
        |it| (it.page, it.repeats) = (10, true),
        |it| (it.page, it.serves_versions) = (50, false),
        |it| {
            it.page = 20;
            it.failures = Some((12, &[429, 503, 500]));
        },
        |it| (it.page, it.latency) = (20, Duration::from_millis(30)),
    ];
    let room = "a::$chat/ü?#%+ b";
    for behave in behaviours {
        let (engine, ably) = (Engine::start().await, Ably::start().await);
        ably.behave(behave);
        let all = messages(45);
        for message in &all {
            message.publish(&ably, room);
        }
        let until = (EPOCH + 40_000).to_string();
        let args =
            ["backfill", "--room", room, "--execute", "--since", "2026-01-01T00:00:02Z", "--until"];
        let ran = run(&[&args[..], &[&until]].concat(), &engine, &ably).await;
        assert_eq!(ran.status, 0, "{} {:?}", ran.errors, ran.lines);
        // From the second message, included, to the fortieth, not included.
        check_room(&store(&engine), room, &all[1..39]).await;
        assert_eq!(ran.summary()["messages"], 38);
        let verified = verify(&[room], &engine, &ably).await;
        assert_eq!(verified.status, 0, "{:?}", verified.lines);
        // The next run goes on where that one ended.
        let ran = run(
            &["backfill", "--room", room, "--execute", "--since", "1767225602000"],
            &engine,
            &ably,
        )
        .await;
        assert_eq!((ran.status, &ran.summary()["messages"]), (0, &json!(6)), "{}", ran.errors);
        check_room(&store(&engine), room, &all[1..]).await;
    }
}

/// A receipt that says what is missing is none to go on from.
#[tokio::test]
async fn regression_a_run_does_not_pass_over_what_a_reconcile_left() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(10);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let args = ["reconcile", "--room", "r", "--leave-receipt"];
    assert_eq!(run(&args, &engine, &ably).await.status, 1);
    let verified = verify(&["r"], &engine, &ably).await;
    let problems = verified.events("receipt")[0]["problems"].to_string();
    assert!(
        verified.status == 1 && problems.contains("were missing when it was made"),
        "{problems}"
    );
    let ran = run(&["backfill", "--room", "r", "--execute"], &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["messages"]), (0, &json!(10)), "{}", ran.errors);
    check_room(&store(&engine), "r", &all).await;
}

#[tokio::test]
async fn individual_reactions_are_stored_when_asked_for() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 0, false, 2);
    message.publish(&ably, "r");
    for (number, action) in [(1, 0), (2, 0), (3, 1)] {
        let serial = serial(1, 100 + number).0;
        ably.annotate(
            "r",
            &message.serial,
            json!({"id": "a:0", "action": action, "serial": serial,
            "messageSerial": message.serial, "type": "reaction:distinct.v1", "name": "👍",
            "clientId": format!("client {number}"), "timestamp": EPOCH, "data": {"x": 1.0}}),
        );
    }
    let ran = run(&["backfill", "--room", "r", "--annotations", "--execute"], &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["annotations"]), (0, &json!(3)), "{:?}", ran.lines);
    let rows = engine.rows().await;
    let found: Vec<_> =
        rows.iter().filter(|row| row["sk"].as_s().unwrap().starts_with("reaction#")).collect();
    assert_eq!(found.len(), 3);
    assert_eq!(found[2]["action"].as_s().unwrap(), "annotation.delete");
    assert_eq!(found[2]["clientId"].as_s().unwrap(), "client 3");
    assert_eq!(found[2]["dataJson"].as_s().unwrap(), "{\"x\":1.0}");
}

/// What the function stores, a walk reads and compares: it finds nothing wrong, and leaves a
/// receipt.
#[tokio::test]
async fn regression_a_walk_refused_what_was_stored_live() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let serial = serial(1, 0).0;
    let version = json!({"serial": serial, "timestamp": EPOCH, "metadata": "odd", "new": [1]});
    ably.publish(
        "r",
        json!({"serial": serial, "clientId": 7, "text": 7, "metadata": {}, "headers": "odd",
               "userClaim": [], "timestamp": EPOCH, "action": "message.create",
               "version": version}),
    );
    let delivered = json!({"name": "chat.message", "serial": serial, "clientId": 7, "action": 0.0,
        "timestamp": EPOCH, "version": version, "data": {"text": 7, "metadata": {}},
        "extras": {"headers": "odd", "userClaim": []}});
    let envelope = json!({"channel": "r::$chat", "messages": [delivered]});
    deliver(&engine, [envelope]).await;
    let before = engine.rows().await;
    let ran = run(&["backfill", "--room", "r", "--execute"], &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["found"]), (0, &json!(1)), "{}", ran.errors);
    let reconciled = run(&["reconcile", "--room", "r"], &engine, &ably).await;
    assert_eq!((reconciled.status, &reconciled.summary()["different"]), (0, &json!(0)));
    let verified = verify(&["r"], &engine, &ably).await;
    assert_eq!(verified.status, 0, "{}", verified.errors);
    // A walk alone leaves the same two rows.
    let other = Engine::start().await;
    run(&["backfill", "--room", "r", "--execute"], &other, &ably).await;
    let stripped = |rows: Vec<Item>| {
        let versions = rows.into_iter().filter(|row| row.contains_key("serial"));
        versions.map(|mut row| (row.remove("versionCount"), row).1).collect::<Vec<_>>()
    };
    assert_eq!(stripped(other.rows().await), stripped(before));
}
