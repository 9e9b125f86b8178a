//! Which rooms are walked and listed.

use std::collections::BTreeSet;
use std::time::Duration;

use ably_chat_exporter::chat::RoomName;
use serde_json::json;
use testkit::{Ably, Engine};

use crate::common::EPOCH;
use crate::common::history::Message;
use crate::program::{BACKFILL, REPAIR, end, live, run, start, store, with};
use crate::rows::rows_of;

#[tokio::test]
async fn rooms_come_from_flags_files_ably_and_the_table() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    for room in ["flag", "file one", "file two", "active", "stored"] {
        Message::new(1, 0, false, 0).publish(&ably, room);
    }
    for channel in ["active::$chat", "no-room", "[meta]log", "a::$chat::$chatMessages"] {
        ably.enter(channel);
    }
    let store = store(&engine);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let room = RoomName("stored".into());
    store.note_room(&room, EPOCH + 5_000, deadline).await.expect("it is noted");
    let directory = std::env::temp_dir().join(format!("ably-chat-rooms-{}", std::process::id()));
    std::fs::write(&directory, "file one\nfile two\n\n").expect("a file");
    let file = directory.to_str().unwrap();
    let args = [
        "backfill",
        "--room",
        "flag",
        "--rooms-file",
        file,
        "--active",
        "--stored",
        "--since",
        "2026-01-01",
    ];
    let ran = run(&args, &engine, &ably).await;
    std::fs::remove_file(&directory).expect("the file is removed");
    assert_eq!(ran.status, 1, "their messages are missing; {}", ran.errors);
    let mut rooms: Vec<_> =
        ran.events("room").iter().map(|it| it["room"].as_str().unwrap()).collect();
    rooms.sort_unstable();
    assert_eq!(rooms, ["active", "file one", "file two", "flag", "stored"]);
    let filter = [("ROOM_FILTER", "^file")];
    let ran = end(start(
        &[&args[..1], &["--active", "--room", "file one"]].concat(),
        &engine,
        &ably,
        &filter,
    ))
    .await;
    assert_eq!(ran.events("room").len(), 1);
}

/// A mistyped room is no complete one.
#[tokio::test]
async fn regression_a_room_that_nobody_knows_is_said_to_be_unknown() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    Message::new(1, 0, false, 0).publish(&ably, "r");
    let args = ["backfill", "--room", "r", "--room", "R", "--execute"];
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
    let ran = run(&["backfill", "--room", "quiet", "--execute"], &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["rooms"]["walked"]), (0, &json!(1)), "{:?}", ran.lines);
}

/// `rooms` lists what the index knows.
#[tokio::test]
async fn rooms_are_listed_with_their_days() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let store = store(&engine);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    for (room, at) in [("a", EPOCH), ("a", EPOCH + 86_400_000), ("b", EPOCH), ("a", EPOCH + 5)] {
        let noted = store.note_room(&RoomName(room.into()), at, deadline).await;
        noted.expect("it is noted");
    }
    let listed = end(start(&["rooms", "--since", "2026-01-01"], &engine, &ably, &[])).await;
    let rooms: Vec<_> = listed.events("room").into_iter().cloned().collect();
    let room = |name, days, last| {
        let first = "2026-01-01";
        json!({"event": "room", "room": name, "days": days, "first": first, "last": last})
    };
    assert_eq!(rooms, [room("a", 2, "2026-01-02"), room("b", 1, "2026-01-01")]);
    assert_eq!((listed.status, &listed.summary()["rooms"]), (0, &json!(2)));
}

/// A room that lost everything is in no index, until a walk stores something of it.
#[tokio::test]
async fn regression_a_walk_notes_the_room_that_it_stores_something_of() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    Message::new(1, 0, false, 0).publish(&ably, "r");
    for (args, rooms) in [(&BACKFILL[..3], 0), (&BACKFILL[..], 1), (&REPAIR[..], 1)] {
        let ran = run(args, &engine, &ably).await;
        assert!(ran.status < 2, "{}", ran.errors);
        let listed = end(start(&["rooms"], &engine, &ably, &[])).await;
        assert_eq!(listed.summary()["rooms"], json!(rooms), "{args:?}");
    }
    let off = [("ROOM_INDEX", "off")];
    let engine = Engine::start().await;
    assert_eq!(with(&BACKFILL, &engine, &ably, &off).await.status, 0);
    assert_eq!(end(start(&["rooms"], &engine, &ably, &[])).await.summary()["rooms"], 0);
}
