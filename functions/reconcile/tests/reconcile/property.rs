//! Whatever Ably says and refuses, and whichever rooms are known: each sign that could be read has
//! every room looked at that may be concerned.

use proptest::prelude::*;
use serde_json::json;
use testkit::Answer;

use crate::world::World;

const DAY: i64 = 86_400_000;
const CHANNELS: [&str; 2] = ["[meta]log", "[meta]stats:minute"];

/// What happens before a look.
#[derive(Clone, Debug)]
struct Step {
    /// What is said: on which channel, and how many ms late it comes into the history.
    said: Option<(usize, i64)>,
    /// Channels that are refused.
    refused: [bool; 2],
    /// Whether the work queue is down.
    is_queue_down: bool,
}

#[derive(Clone, Debug)]
struct Case {
    /// How many days ago each room was noted: none for long, in an outage.
    noted: Vec<i64>,
    /// Rooms that somebody is in, and whether the key may list them.
    active: usize,
    may_list: bool,
    steps: Vec<Step>,
}

fn case() -> impl Strategy<Value = Case> {
    let noted = prop_oneof![Just(0), Just(3), Just(29), Just(35)];
    let noted = proptest::collection::vec(noted, 0..4);
    let lag = prop_oneof![Just(0), 0..100_000_i64];
    let said = proptest::option::of((0..2_usize, lag));
    let step = (said, any::<[bool; 2]>(), proptest::bool::weighted(0.2));
    let step =
        step.prop_map(|(said, refused, is_queue_down)| Step { said, refused, is_queue_down });
    let steps = proptest::collection::vec(step, 1..7);
    (noted, 0..3_usize, any::<bool>(), steps).prop_map(|(noted, active, may_list, steps)| Case {
        noted,
        active,
        may_list,
        steps,
    })
}

async fn run(case: &Case) {
    let world = World::start(&[]).await;
    let mut rooms = Vec::new();
    for (number, days) in case.noted.iter().enumerate() {
        world.note(&format!("noted {number}"), world.now - days * DAY).await;
        if *days < 30 {
            rooms.push(format!("noted {number}"));
        }
    }
    for number in 0..case.active {
        world.ably.enter(&format!("active {number}::$chat"));
        rooms.extend(case.may_list.then(|| format!("active {number}")));
    }
    if !case.may_list {
        world.ably.refuse("/channels", 401, 40_160);
        CHANNELS.iter().for_each(|it| world.ably.allow(&format!("/channels/{it}/")));
    }
    let mut said = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        if let Some((channel, lag)) = step.said {
            let at = world.now + i64::try_from(number).expect("a small number") - lag;
            let message =
                json!({"id": number.to_string(), "timestamp": at, "data": {"code": 42925}});
            world.ably.say(CHANNELS[channel], message);
            said.push(at);
        }
        world.services.set_queue_down(step.is_queue_down);
        for (channel, is_refused) in CHANNELS.iter().zip(step.refused) {
            let path = format!("/channels/{channel}/");
            if is_refused { world.ably.refuse(&path, 401, 40_160) } else { world.ably.allow(&path) }
        }
        let answer = world.invoke(&json!({"task": "signs"})).await;
        let is_error = matches!(answer, Answer::Error(_));
        assert!(is_error || step.refused == [false; 2], "{answer:?}");
    }
    world.services.set_queue_down(false);
    CHANNELS.iter().for_each(|channel| world.ably.allow(&format!("/channels/{channel}/")));
    if rooms.is_empty() {
        // Until now nobody knew where to look; what was said is not forgotten.
        for _ in 0..2 {
            let answer = world.invoke(&json!({"task": "signs"})).await;
            assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
        }
        assert!(world.queued().is_empty());
        world.note("late", world.now).await;
        rooms.push("late".into());
    }
    for _ in 0..2 {
        let answer = world.invoke(&json!({"task": "signs"})).await;
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
    }
    check(&world, &said, &rooms);
}

/// Each sign's time is in a window of each room.
fn check(world: &World, said: &[i64], rooms: &[String]) {
    let queued = world.queued();
    for at in said {
        for room in rooms {
            let is_seen_to = queued.iter().any(|work| {
                work["room"] == json!(room)
                    && work["from"].as_i64().is_some_and(|from| from <= *at)
                    && work["until"].as_i64().is_some_and(|until| *at < until)
            });
            assert!(is_seen_to, "{room} at {at} in {queued:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_sign_has_every_room_looked_at(case in case()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        runtime.block_on(run(&case));
    }
}
