//! What Ably says of deliveries that failed, and what is missed when it cannot be read.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use testkit::{Answer, Engine, Once};

use crate::world::{TIMEOUT, World};

const CHANNELS: [&str; 2] = ["[meta]log", "[meta]stats:minute"];

fn look() -> Value {
    json!({"task": "signs"})
}

fn found(signs: u64, rooms: u64) -> Answer {
    Answer::Response(json!({"signs": signs, "rooms": rooms}))
}

fn sign(id: &str, at: i64) -> Value {
    json!({"id": id, "timestamp": at, "data": {"error": {"code": 42925}, "tag": "reactor.lambda"}})
}

fn path(channel: &str) -> String {
    format!("/channels/{channel}/")
}

impl World {
    /// The state's row.
    async fn state(&self) -> testkit::Item {
        let rows = self.engine.rows().await;
        let state =
            rows.into_iter().find(|row| row["sk"].as_s().is_ok_and(|it| it == "state#signs"));
        state.expect("there is a state")
    }
}

/// Ably tells of failed deliveries: once it has ended, rooms are walked for its time, once.
#[tokio::test]
async fn signs_of_trouble_have_rooms_reconciled() {
    let mut world = World::start(&[]).await;
    world.say("r", 8, "text").await;
    let at = world.now - 600_000;
    world.ably.say(
        "[meta]log",
        json!({"id": "1", "timestamp": at, "data":
        {"error": {"code": 42925, "statusCode": 429}, "tag": "reactor.lambda"}}),
    );
    world.ably.say("[meta]log", json!({"id": "2", "timestamp": at, "data": {"code": 40000}}));
    world.ably.say(
        "[meta]stats:minute",
        json!({"id": "1s", "timestamp": at + 30_000, "data": json!(
        {"entries": {"messages.outbound.webhook.all.failed": 4}}).to_string(), "encoding": "json"}),
    );
    assert_eq!(world.invoke(&look()).await, found(2, 0));
    assert_eq!(world.invoke(&look()).await, found(0, 1));
    assert_eq!(world.invoke(&look()).await, found(0, 0));
    let window = json!({"room": "r", "from": at - 120_000, "until": at + 150_000});
    assert_eq!(world.queued(), [window]);
    assert_eq!(world.work(TIMEOUT).await, 1);
    assert_eq!(world.rows("r", "message#").await, 1);
    let log = world.function.kill().await;
    assert!(log.contains("error 42925 (reactor.lambda)"), "{log}");
}

/// Ably's clock is ahead: its signs are of now, and do not have rooms wait until later.
#[tokio::test]
async fn regression_a_sign_of_the_future_is_of_now() {
    let world = World::start(&[]).await;
    world.note("r", world.now).await;
    world.ably.say("[meta]log", sign("1", world.now + 86_400_000));
    assert_eq!(world.invoke(&look()).await, found(1, 0));
    assert_eq!(world.invoke(&look()).await, found(0, 1));
    let until = world.queued()[0]["until"].as_i64().expect("a time");
    assert!((120_000..180_000).contains(&(until - world.now)), "{:?}", world.queued());
    // The window's end is in the history a minute after it.
    assert!((120..=181).contains(&world.services.delays()[0]), "{:?}", world.services.delays());
}

/// Nobody knows a room to look in: that is no reason to forget that something was lost.
#[tokio::test]
async fn regression_trouble_without_rooms_is_not_over() {
    let mut world = World::start(&[]).await;
    let at = world.now - 600_000;
    world.ably.say("[meta]log", sign("1", at));
    assert_eq!(world.invoke(&look()).await, found(1, 0));
    for _ in 0..2 {
        assert_eq!(world.invoke(&look()).await, found(0, 0));
    }
    world.note("r", world.now).await;
    assert_eq!(world.invoke(&look()).await, found(0, 1));
    assert_eq!(world.rooms_queued(), ["r".to_owned()].into());
    assert_eq!(world.invoke(&look()).await, found(0, 0));
    let log = world.function.kill().await;
    assert_eq!(log.matches("\"TroubleWithoutRooms\":1").count(), 2, "{log}");
    assert_eq!(log.matches("\"TroubleWithoutRooms\":0").count(), 1, "{log}");
    assert!(log.contains("no room is known to look in"), "{log}");
}

/// What Ably does not keep any more is given up, aloud.
#[tokio::test]
async fn trouble_that_ably_forgot_is_given_up() {
    let world = World::start(&[("HISTORY_DAYS", "1")]).await;
    let state = json!({"readAt": world.now, "known": [],
        "trouble": [world.now - 90_000_000, world.now - 87_000_000]});
    put_state(&world, &state).await;
    assert_eq!(world.invoke(&look()).await, found(0, 0));
    assert_eq!(world.state().await["trouble"], AttributeValue::Null(true));
    let log = world.function.kill().await;
    assert!(log.contains("not in its history any more"), "{log}");
}

async fn put_state(world: &World, state: &Value) {
    let number = |value: &Value| AttributeValue::N(value.to_string());
    let list = |value: &Value| match value.as_array() {
        Some(values) => AttributeValue::L(
            values
                .iter()
                .map(|it| match it.as_str() {
                    Some(text) => AttributeValue::S(text.into()),
                    None => number(it),
                })
                .collect(),
        ),
        None => AttributeValue::Null(true),
    };
    let put = world.engine.client().put_item().table_name(Engine::TABLE);
    put.item("pk", AttributeValue::S("[meta]log".into()))
        .item("sk", AttributeValue::S("state#signs".into()))
        .item("readAt", number(&state["readAt"]))
        .item("known", list(&state["known"]))
        .item("trouble", list(&state["trouble"]))
        .send()
        .await
        .expect("a put");
}

/// The state that existing tables hold has one time for both channels.
#[tokio::test]
async fn regression_the_old_state_is_read() {
    let world = World::start(&[]).await;
    world.note("r", world.now).await;
    let read_at = world.now - 60_000;
    put_state(&world, &json!({"readAt": read_at, "known": ["seen"], "trouble": null})).await;
    world.ably.say("[meta]log", sign("seen", read_at - 1_000));
    world.ably.say("[meta]log", sign("new", read_at + 1_000));
    // Said before the last look's overlap: that look, and the ones before, have read it.
    world.ably.say("[meta]log", sign("long ago", read_at - 130_000));
    assert_eq!(world.invoke(&look()).await, found(1, 0));
    let state = world.state().await;
    let times = state["readAt"].as_m().expect("a time for each channel");
    assert_eq!(times.keys().map(String::as_str).collect::<BTreeSet<_>>(), CHANNELS.into());
}

/// Both channels answer 401: nothing was read, and nothing is taken for read.
#[tokio::test]
async fn regression_refused_metachannels_are_no_success() {
    let world = World::start(&[]).await;
    world.note("r", world.now).await;
    assert_eq!(world.invoke(&look()).await, found(0, 0));
    let before = world.state().await["readAt"].clone();
    CHANNELS.iter().for_each(|channel| world.ably.refuse(&path(channel), 401, 40_160));
    let answer = world.invoke(&look()).await;
    let Answer::Error(error) = answer else { panic!("{answer:?}") };
    for reason in ["[meta]log not read", "[meta]stats:minute not read", "`history` on `[meta]*`"] {
        assert!(error["errorMessage"].as_str().unwrap_or_default().contains(reason), "{error}");
    }
    assert_eq!(world.state().await["readAt"], before);
}

/// One channel is refused: the other is read, and the one goes on where it was read last.
#[tokio::test]
async fn regression_a_refused_metachannel_goes_on_where_it_was_read() {
    let world = World::start(&[]).await;
    world.note("r", world.now).await;
    assert_eq!(world.invoke(&look()).await, found(0, 0));
    let before = world.state().await["readAt"].as_m().expect("times").clone();
    world.ably.refuse(&path("[meta]log"), 401, 40_160);
    world.ably.say("[meta]log", sign("of log", world.now));
    world.ably.say("[meta]stats:minute", sign("of stats", world.now));
    assert!(matches!(world.invoke(&look()).await, Answer::Error(_)));
    let after = world.state().await["readAt"].as_m().expect("times").clone();
    assert_eq!(after["[meta]log"], before["[meta]log"]);
    assert_ne!(after["[meta]stats:minute"], before["[meta]stats:minute"]);
    // What was found is seen to, though the other channel still is not read.
    assert!(matches!(world.invoke(&look()).await, Answer::Error(_)));
    assert_eq!(world.queued().len(), 1);
    world.ably.allow(&path("[meta]log"));
    assert_eq!(world.invoke(&look()).await, found(1, 0));
    assert_eq!(world.invoke(&look()).await, found(0, 1));
}

/// A channel that cannot be read for a moment is no failure: it is read the next time. One that was
/// not read for longer than Ably keeps what it says, is.
#[tokio::test]
async fn a_metachannel_may_be_unreadable_for_a_moment() {
    let world = World::start(&[]).await;
    world.note("r", world.now).await;
    let break_off = || {
        (0..3).for_each(|_| world.ably.next("/channels/[meta]log", Once::Odd("no", "text/plain")))
    };
    assert_eq!(world.invoke(&look()).await, found(0, 0));
    break_off();
    assert_eq!(world.invoke(&look()).await, found(0, 0));
    put_state(&world, &json!({"readAt": world.now - 130_000, "known": [], "trouble": null})).await;
    break_off();
    let answer = world.invoke(&look()).await;
    let Answer::Error(error) = answer else { panic!("{answer:?}") };
    assert!(error.to_string().contains("[meta]log not read"), "{error}");
    let log = world.function.kill().await;
    assert!(log.contains("metachannel not read; the next look will"), "{log}");
}

/// Ably keeps for minutes what it says: a time in which nobody read it may have been one of losses.
#[tokio::test]
async fn regression_hours_in_which_nobody_looked_are_no_success() {
    let world = World::start(&[]).await;
    world.note("r", world.now).await;
    let read_at = world.now - 6 * 3_600_000;
    put_state(&world, &json!({"readAt": read_at, "known": [], "trouble": null})).await;
    assert_eq!(world.invoke(&look()).await, found(0, 1));
    let work = &world.queued()[0];
    assert_eq!(work["from"], json!(read_at - 120_000));
    assert!(work["until"].as_i64().is_some_and(|until| until >= world.now), "{work}");
    assert_eq!(world.invoke(&look()).await, found(0, 0));
}
