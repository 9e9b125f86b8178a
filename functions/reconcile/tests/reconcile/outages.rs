//! Which rooms are looked at: those that nothing has come from for long are the ones in need.

use serde_json::json;
use testkit::Answer;

use crate::world::{TIMEOUT, World};

const DAY: i64 = 86_400_000;

fn queued(rooms: u64) -> Answer {
    Answer::Response(json!({"rooms": rooms}))
}

/// Nothing was delivered for three days, and Ably says so: the rooms are those that were noted
/// before.
#[tokio::test]
async fn regression_an_outage_hides_no_room() {
    let mut world = World::start(&[]).await;
    for (room, days) in [("three days", 3), ("a month", 29)] {
        world.note(room, world.now - days * DAY).await;
        world.publish(room, 10, "lost");
    }
    // Ably does not keep what this one may have lost.
    world.note("too old", world.now - 35 * DAY).await;
    world.ably.say(
        "[meta]log",
        json!({"id": "1", "timestamp": world.now - 600_000, "data": {"code": 42925}}),
    );
    let look = json!({"task": "signs"});
    assert_eq!(world.invoke(&look).await, Answer::Response(json!({"signs": 1, "rooms": 0})));
    assert_eq!(world.invoke(&look).await, Answer::Response(json!({"signs": 0, "rooms": 2})));
    assert_eq!(world.work(TIMEOUT).await, 2);
    for room in ["three days", "a month"] {
        assert_eq!(world.rows(room, "message#").await, 1, "{room}");
    }
    let log = world.function.kill().await;
    assert!(log.contains("\"RoomsQueued\":2") && !log.contains("TroubleWithoutRooms\":1"), "{log}");
}

/// The same, and Ably says nothing of it.
#[tokio::test]
async fn regression_the_daily_look_takes_every_room_that_ably_keeps() {
    let mut world = World::start(&[("HISTORY_DAYS", "90")]).await;
    for (room, days) in [("three days", 3), ("three months", 89)] {
        world.note(room, world.now - days * DAY).await;
        world.publish(room, 1_500, "lost");
    }
    world.note("too old", world.now - 95 * DAY).await;
    assert_eq!(world.invoke(&json!({"task": "rooms", "days": 2})).await, queued(2));
    assert_eq!(world.work(TIMEOUT).await, 2);
    for room in ["three days", "three months"] {
        assert_eq!(world.rows(room, "message#").await, 1, "{room}");
    }
}

/// The frequent look takes rooms of the last two days, and those that somebody is in.
#[tokio::test]
async fn regression_the_frequent_look_takes_rooms_that_somebody_is_in() {
    let mut world = World::start(&[("ROOM_FILTER", "^room")]).await;
    world.note("room noted", world.now - 2 * DAY).await;
    world.note("room of last week", world.now - 8 * DAY).await;
    for channel in ["room active::$chat", "other::$chat", "no room", "[meta]log"] {
        world.ably.enter(channel);
    }
    world.publish("room active", 10, "lost");
    assert_eq!(world.invoke(&json!({"task": "rooms"})).await, queued(2));
    assert_eq!(world.work(TIMEOUT).await, 2);
    assert_eq!(world.rows("room active", "message#").await, 1);
    // The daily one takes all three.
    assert_eq!(world.invoke(&json!({"task": "rooms", "days": 2})).await, queued(3));
}

/// That a key may not list rooms is logged once, and the rooms of the table are looked at.
#[tokio::test]
async fn a_key_that_may_not_list_rooms_is_no_failure() {
    let mut world = World::start(&[]).await;
    world.note("r", world.now).await;
    world.ably.enter("active::$chat");
    world.ably.refuse("/channels", 401, 40_160);
    for _ in 0..3 {
        assert_eq!(world.invoke(&json!({"task": "rooms"})).await, queued(1));
    }
    assert_eq!(world.rooms_queued(), ["r".to_owned()].into());
    let log = world.function.kill().await;
    assert_eq!(log.matches("active rooms not listed").count(), 1, "{log}");
    assert!(log.contains("needs `channel-metadata` on `*`"), "{log}");
}

/// A look that finds no room says so: it looks like a success otherwise.
#[tokio::test]
async fn regression_a_look_at_nothing_is_no_silent_success() {
    let world = World::start(&[]).await;
    assert_eq!(world.invoke(&json!({"task": "rooms", "days": 2})).await, queued(0));
    let log = world.function.kill().await;
    assert!(log.contains("\"RoomsQueued\":0"), "{log}");
    assert!(log.contains("no room is known that could be reconciled"), "{log}");
}

/// A room whose name no URL of the Chat API can hold is compared like any other.
#[tokio::test]
async fn regression_a_room_of_dots_is_reconciled() {
    let mut world = World::start(&[]).await;
    for room in [".", "..", "..."] {
        world.say(room, 10, "text").await;
        world.say(room, 9, "more").await;
    }
    assert_eq!(world.invoke(&json!({"task": "rooms"})).await, queued(3));
    assert_eq!(world.work(TIMEOUT).await, 3);
    for room in [".", "..", "..."] {
        let rows = ["message#", "version#", "receipt#"].map(|kind| world.rows(room, kind));
        let [messages, versions, receipts] = rows;
        assert_eq!((messages.await, versions.await, receipts.await), (2, 2, 1), "{room}");
    }
}
