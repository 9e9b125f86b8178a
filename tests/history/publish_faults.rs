//! Publishing while everything fails: nothing is in Ably that nobody knows of, and nothing twice.

use std::sync::Arc;
use std::time::Duration;

use ably_chat_exporter::history::Upstream;
use ably_chat_exporter::history::publish::Operation;
use axum::body::Bytes;
use axum::http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::{Item, Once};

use crate::publish_world::{World, code, json_of, path, request, seen};

const SHORT: Duration = Duration::from_millis(1_800);
const SHORTER: Duration = Duration::from_millis(1_300);

#[tokio::test]
async fn an_unknown_outcome_is_said_and_looked_at() {
    let world = World::start().await;
    let send = async |once| {
        world.ably.next(&path("r", ""), once);
        let uri = format!("{}?idempotencyKey=k", path("r", ""));
        world.ask(request("POST", &uri, &json!({"text": "hi"})), "r", Operation::Send, SHORT).await
    };
    let unknown = send(Once::DoneAndSilence).await;
    assert_eq!((seen(&unknown), code(&unknown)), ((503, ""), 50_003));
    let message = json_of(&unknown)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("unknown whether"), "{message}");
    assert_eq!(world.rooms.messages(), [r#"{"room":"r"}"#]);
    assert!(world.rooms.delays()[0] > 120);
    assert_eq!(seen(&send(Once::DoneAndError(500, 50_000)).await), (500, ""));
    assert_eq!(world.rooms.messages().len(), 1, "one look does for all of a minute");
    assert_eq!(seen(&send(Once::DoneAndLate(Duration::from_millis(300))).await), (201, "stored"));
    assert_eq!(world.ably.versions("r").len(), 1);
}

#[tokio::test]
async fn an_edit_is_looked_for_where_its_message_is() {
    let world = World::start().await;
    let message = json_of(&world.send("r", &json!({"text": "hi"})).await);
    let (serial, at) =
        (message["serial"].as_str().unwrap(), message["timestamp"].as_i64().unwrap());
    world.ably.next(&path("r", ""), Once::DoneAndError(503, 50_003));
    world.change("r", serial, &json!({"message": {"text": "ho"}})).await;
    world.ably.next(&path("r", ""), Once::DoneAndError(503, 50_003));
    world.change("r", "unheard-of", &json!({})).await;
    let works: Vec<Value> =
        world.rooms.messages().iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    let found = json!({"room": "r", "from": at, "until": at + 1});
    assert_eq!(works, [found, json!({"room": "r", "days": 366})]);
}

#[tokio::test]
async fn an_answer_that_is_no_message_is_not_stored_and_looked_at() {
    let world = World::start().await;
    for (number, body) in ["[]", "no JSON", r#"{"serial":"1","createdAt":5}"#].iter().enumerate() {
        let room = format!("r{number}");
        world.ably.next(&path(&room, ""), Once::Odd(body, "application/json"));
        let sent = world.send(&room, &json!({"text": "hi"})).await;
        assert_eq!((seen(&sent), &*sent.body), ((200, "not-stored"), body.as_bytes()));
        assert_eq!(world.rooms.messages().len(), number + 1);
    }
    assert_eq!((world.engine.rows().await.len(), world.parked().len()), (0, 0));
}

#[tokio::test]
async fn ably_out_of_reach_is_said() {
    // Nobody listens there any more.
    let gone = testkit::Ably::start().await.endpoint.clone();
    let upstream = Upstream::new(Some(&gone)).expect("a client");
    let world = World::with(|publish| publish.upstream = Arc::new(upstream)).await;
    let refused = world.send("r", &json!({"text": "hi"})).await;
    assert_eq!(code(&refused), 50_003);
    let message = json_of(&refused)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("nothing was published"), "{message}");
    assert_eq!(world.rooms.messages().len(), 0);
}

#[tokio::test]
async fn what_nothing_takes_is_published_and_its_room_is_looked_at() {
    let world = World::start().await;
    world.set_table_down(true);
    world.failures.set_queue_down(true);
    let sent = request("POST", &path("r", ""), &json!({"text": "hi"}));
    let sent = world.ask(sent, "r", Operation::Send, SHORT).await;
    assert_eq!(seen(&sent), (201, "not-stored"));
    assert_eq!(world.rooms.messages(), [r#"{"room":"r"}"#]);
}

#[tokio::test]
async fn a_caller_that_goes_away_loses_nothing() {
    let world = World::start().await;
    world.ably.next(&path("r", ""), Once::DoneAndLate(Duration::from_millis(300)));
    let body = json!({"text": "hi"});
    let sent = tokio::time::timeout(Duration::from_millis(100), world.send("r", &body)).await;
    assert!(sent.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.engine.rows().await.len(), 2);
}

/// A caller publishes again, as often as that.
fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    prop::collection::vec(attempt(), 1..3)
}

/// What happens at one attempt to publish.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    at_ably: Option<Once>,
    is_table_down: bool,
    is_queue_down: bool,
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let at_ably = prop::sample::select(vec![
        None,
        None,
        Some(Once::Error(503, 50_003)),
        Some(Once::Silence),
        Some(Once::CutShort),
        Some(Once::DoneAndError(500, 50_000)),
        Some(Once::DoneAndSilence),
        Some(Once::DoneAndLate(Duration::from_millis(100))),
        Some(Once::Odd("{}", "application/json")),
    ]);
    (at_ably, prop::bool::weighted(0.3), prop::bool::weighted(0.3)).prop_map(
        |(at_ably, is_table_down, is_queue_down)| Attempt { at_ably, is_table_down, is_queue_down },
    )
}

/// A caller publishes, and repeats what was not answered with success, as SDKs do; the message.
async fn publish(
    world: &World,
    (room, operation): (&str, Operation),
    request: impl Fn() -> Request<Bytes>,
    attempts: &[Attempt],
) -> Option<Value> {
    for attempt in attempts {
        if let Some(once) = attempt.at_ably {
            world.ably.next(&path(room, ""), once);
        }
        world.set_table_down(attempt.is_table_down);
        world.failures.set_queue_down(attempt.is_queue_down);
        let sent = world.ask(request(), room, operation, SHORTER).await;
        if sent.status.is_success() {
            return serde_json::from_slice(&sent.body).ok();
        }
    }
    None
}

/// A message, and what is done to it if its sender knows that it was published.
async fn send_and_edit(world: &World, room: &str, attempts: &[Vec<Attempt>; 2], is_delete: bool) {
    let uri = format!("{}?idempotencyKey=send", path(room, ""));
    let send = || request("POST", &uri, &json!({"text": room}));
    let sent = publish(world, (room, Operation::Send), send, &attempts[0]).await;
    let Some(serial) = sent.as_ref().and_then(|message| message["serial"].as_str()) else { return };
    let serial = serial.replace('@', "%40");
    let (operation, method, end) = match is_delete {
        true => (Operation::Delete, "POST", "/delete"),
        false => (Operation::Update, "PUT", ""),
    };
    let uri = path(room, &format!("/{serial}{end}?idempotencyKey=edit"));
    let edit = || request(method, &uri, &json!({"message": {"text": "b"}}));
    publish(world, (room, operation), edit, &attempts[1]).await;
}

/// Whether the table, the failure queue or the queue of rooms has a version.
async fn is_known(world: &World, room: &str, version: &Value) -> bool {
    let serial = version["version"]["serial"].as_str().expect("a serial");
    let is_row = |row: &Item| {
        row["pk"].as_s().expect("a key") == room
            && row["sk"].as_s().expect("a key").ends_with(serial)
    };
    let is_work = |text: &String| {
        let work: Value = serde_json::from_str(text).expect("JSON");
        let is_edit = version["action"] != "message.create";
        let is_of_edit = work["days"] == 366 || work["from"] == version["timestamp"];
        work["room"] == room && (!is_edit || is_of_edit)
    };
    world.engine.rows().await.iter().any(is_row)
        || world.failures.messages().iter().any(|text| text.contains(serial))
        || world.rooms.messages().iter().any(is_work)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8, max_shrink_iters: 20, ..ProptestConfig::default()
    })]
    #[test]
    fn nothing_is_in_ably_that_nobody_knows_of(
        messages in prop::collection::vec((attempts(), attempts(), any::<bool>()), 1..4),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let world = World::start().await;
            for (number, (send, edit, is_delete)) in messages.iter().enumerate() {
                let (room, attempts) = (format!("r{number}"), [send.clone(), edit.clone()]);
                send_and_edit(&world, &room, &attempts, *is_delete).await;
                let versions = world.ably.versions(&room);
                let is_create = |version: &&Value| version["action"] == "message.create";
                prop_assert!(versions.iter().filter(is_create).count() <= 1, "{versions:?}");
                prop_assert!(versions.len() <= 2, "{versions:?}");
                for version in &versions {
                    prop_assert!(is_known(&world, &room, version).await, "{version} {messages:?}");
                }
            }
            Ok(())
        })?;
    }
}
