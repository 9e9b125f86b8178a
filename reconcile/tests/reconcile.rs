//! The built reconcile function, as Lambda runs it, against stand-ins of Ably's REST API and SQS and a
//! DynamoDB engine.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::store::{Settings, Store};
use serde_json::{Value, json};
use testkit::{Ably, Answer, Engine, FunctionProcess, RuntimeApi, Services};
use tokio::time::Instant;

const BINARY: &str = env!("CARGO_BIN_EXE_ably-chat-reconcile");
const TIMEOUT: Duration = Duration::from_secs(900);

/// A function and everything it asks.
struct World {
    engine: Engine,
    ably: Ably,
    services: Services,
    api: RuntimeApi,
    function: FunctionProcess,
    /// Messages of the work queue that were handed out.
    handed_out: usize,
    now: i64,
}

impl World {
    async fn start(more: &[(&str, &str)]) -> Self {
        let (engine, ably, services) =
            (Engine::start().await, Ably::start().await, Services::start().await);
        let api = RuntimeApi::start().await;
        let settings = [("RECONCILE_QUEUE_URL".to_owned(), services.queue_url())];
        let own = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let pace = [("RECONCILE_PACE".to_owned(), "10000".to_owned())];
        let env: Vec<_> = engine
            .env()
            .into_iter()
            .chain(ably.env())
            .chain(services.env())
            .chain(settings)
            .chain(pace)
            .chain(own)
            .collect();
        let function = FunctionProcess::spawn(Path::new(BINARY), &api, &env);
        #[expect(clippy::disallowed_methods, reason = "messages are as old as this machine says")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
        let now = i64::try_from(since_epoch.as_millis()).expect("a time");
        Self { engine, ably, services, api, function, handed_out: 0, now }
    }

    async fn invoke(&self, event: &Value) -> Answer {
        self.api.invoke(event.to_string(), TIMEOUT).await
    }

    /// Says something in a room so many minutes ago, and notes the room.
    async fn say(&self, room: &str, minutes_ago: i64, text: &str) {
        let at = self.now - minutes_ago * 60_000;
        let serial = format!("{at:014}-000@aBcDeFgHi12345678:000");
        self.ably.publish(
            room,
            json!({"serial": serial, "clientId": "ana", "text": text,
            "metadata": {}, "headers": {}, "timestamp": at, "action": "message.create",
            "version": {"serial": serial, "timestamp": at}}),
        );
        let deadline = Instant::now() + Duration::from_secs(30);
        let seen = self.store().see_room(&RoomName(room.into()), at, deadline).await;
        seen.expect("the room is noted");
    }

    fn store(&self) -> Store {
        Store::new(self.engine.client(), Engine::TABLE, Settings::default())
    }

    /// Hands out what is in the work queue, until nothing is; how many.
    async fn work(&mut self, timeout: Duration) -> usize {
        let before = self.handed_out;
        while let Some(body) = self.services.messages().get(self.handed_out).cloned() {
            self.handed_out += 1;
            let event = json!({"Records": [
                {"messageId": format!("m{}", self.handed_out), "eventSource": "aws:sqs", "body": body}]});
            let answer = self.api.invoke(event.to_string(), timeout).await;
            assert_eq!(answer, Answer::Response(json!({"batchItemFailures": []})), "{body}");
        }
        self.handed_out - before
    }

    /// How many rows of a kind a room has.
    async fn rows(&self, room: &str, kind: &str) -> usize {
        let rows = self.engine.rows().await;
        let of_room = rows.iter().filter(|row| row["pk"].as_s().is_ok_and(|it| it == room));
        of_room.filter(|row| row["sk"].as_s().is_ok_and(|it| it.starts_with(kind))).count()
    }
}

#[tokio::test]
async fn a_schedule_has_every_room_reconciled() {
    let mut world = World::start(&[("ROOM_FILTER", "^room")]).await;
    for room in ["room a", "room b", "other"] {
        world.say(room, 30, "first").await;
        world.say(room, 20, "second").await;
    }
    let answer = world.invoke(&json!({"task": "rooms"})).await;
    assert_eq!(answer, Answer::Response(json!({"rooms": 2})));
    assert_eq!(world.work(TIMEOUT).await, 2);
    for room in ["room a", "room b"] {
        assert_eq!(world.rows(room, "message#").await, 2);
        assert_eq!(world.rows(room, "receipt#").await, 1);
    }
    assert_eq!(world.rows("other", "message#").await, 0);
    // From the last receipt on there is nothing new, and nothing is written.
    let (rows, pages) = (world.engine.rows().await, world.ably.requests()[1]);
    world.invoke(&json!({"task": "rooms"})).await;
    assert_eq!(world.work(TIMEOUT).await, 2);
    assert_eq!(world.engine.rows().await, rows);
    assert_eq!(world.ably.requests()[1], pages + 2);
    // An edit of what a receipt covers belongs to the time of its message: looking back finds it.
    let row = rows.iter().find(|row| row["sk"].as_s().is_ok_and(|it| it.starts_with("message#")));
    let serial = row.expect("a message")["serial"].as_s().expect("a serial").clone();
    let at: i64 =
        row.expect("a message")["timestamp"].as_n().expect("a time").parse().expect("a number");
    world.ably.publish(
        "room a",
        json!({"serial": serial, "clientId": "ana", "text": "edited",
        "timestamp": at, "action": "message.update",
        "version": {"serial": format!("{}-000@z:000", at + 900_000), "timestamp": at + 900_000}}),
    );
    let answer = world.invoke(&json!({"task": "rooms", "days": 2})).await;
    assert_eq!(answer, Answer::Response(json!({"rooms": 2})));
    world.work(TIMEOUT).await;
    assert_eq!(world.rows("room a", "version#").await, 3);
    let log = world.function.kill().await;
    let metric = |name: &str, value: u64| log.contains(&format!("\"{name}\":{value}"));
    assert!(
        metric("GapsFound", 2) && metric("GapsRepaired", 2) && metric("GapsNotRepaired", 0),
        "{log}"
    );
    for secret in ["first", "edited", "\"ana\"", "a-secret-for-tests"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

/// What is missing is stored; what differs is left for people to decide about, and counted.
#[tokio::test]
async fn what_differs_is_reported_and_left() {
    let mut world = World::start(&[]).await;
    world.say("r", 30, "as it was said").await;
    world.invoke(&json!({"task": "rooms"})).await;
    world.work(TIMEOUT).await;
    let rows = world.engine.rows().await;
    let mut row = rows.iter().find(|row| row.contains_key("text")).expect("a message").clone();
    row.insert("text".into(), aws_sdk_dynamodb::types::AttributeValue::S("as it is kept".into()));
    let put = world.engine.client().put_item().table_name(Engine::TABLE);
    put.set_item(Some(row.clone())).send().await.expect("a put");
    world.invoke(&json!({"task": "rooms", "days": 1})).await;
    world.work(TIMEOUT).await;
    assert!(world.engine.rows().await.contains(&row));
    let log = world.function.kill().await;
    assert!(
        log.contains("\"GapsNotRepaired\":1") && log.contains("members=[\"text\"]")
            || log.contains("[\\\"text\\\"]"),
        "{log}"
    );
    assert!(!log.contains("as it is kept") && !log.contains("as it was said"));
}

/// A room that takes longer than an invocation may goes back to the queue, and on from its checkpoint.
#[tokio::test]
async fn a_long_walk_goes_on_in_another_invocation() {
    let mut world = World::start(&[]).await;
    for minutes in 0..60 {
        world.say("r", 100 - minutes, "text").await;
    }
    world.ably.behave(|it| it.page = 20);
    world.invoke(&json!({"task": "rooms"})).await;
    // Too short for more than a chunk; each walk but the first begins a minute before its checkpoint.
    assert_eq!(world.work(Duration::from_secs(30)).await, 4);
    assert_eq!(world.rows("r", "message#").await, 60);
    assert_eq!((world.rows("r", "receipt#").await, world.rows("r", "checkpoint#").await), (1, 0));
}

#[tokio::test]
async fn a_closed_channel_is_reconciled_a_minute_later() {
    let mut world = World::start(&[("ROOM_FILTER", "^r")]).await;
    world.say("r", 5, "text").await;
    let closed = |channel: &str, name: &str| {
        json!({"source": "channel.lifecycle", "appId": "aB3dEf", "channel": channel, "name": name,
            "data": {"channelId": channel, "status": {"isActive": false}}})
    };
    let ignored = Answer::Response(json!({"ignored": true}));
    assert_eq!(world.invoke(&closed("r::$chat", "channel.opened")).await, ignored);
    assert_eq!(world.invoke(&closed("other::$chat", "channel.closed")).await, ignored);
    let answer = world.invoke(&closed("r::$chat", "channel.closed")).await;
    assert_eq!(answer, Answer::Response(json!({"rooms": 1})));
    assert_eq!(world.services.delays(), [60]);
    assert_eq!(world.work(TIMEOUT).await, 1);
    assert_eq!(world.rows("r", "message#").await, 1);
}

/// Ably tells of failed deliveries: once it has ended, the rooms of that time are walked, once.
#[tokio::test]
async fn signs_of_trouble_have_rooms_reconciled() {
    let mut world = World::start(&[]).await;
    world.say("r", 8, "text").await;
    let look = json!({"task": "signs"});
    let found = |signs: u64, rooms: u64| Answer::Response(json!({"signs": signs, "rooms": rooms}));
    assert_eq!(world.invoke(&look).await, found(0, 0));
    let at = world.now - 90_000;
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
    assert_eq!(world.invoke(&look).await, found(2, 0));
    assert_eq!(world.invoke(&look).await, found(0, 1));
    assert_eq!(world.invoke(&look).await, found(0, 0));
    let work: Value = serde_json::from_str(&world.services.messages()[0]).expect("JSON");
    assert_eq!(work, json!({"room": "r", "from": at - 120_000, "until": at + 150_000}));
    // Its last minute is not in the history yet.
    assert!((1..=120).contains(&world.services.delays()[0]), "{:?}", world.services.delays());
    world.work(TIMEOUT).await;
    world.ably.behave(|it| it.instead = Some(("no", "text/plain")));
    assert_eq!(world.invoke(&look).await, found(0, 0));
    let log = world.function.kill().await;
    assert!(
        log.contains("error 42925 (reactor.lambda)") && log.contains("metachannel not read"),
        "{log}"
    );
}

#[tokio::test]
async fn what_fails_comes_again_and_says_why() {
    let world = World::start(&[("ABLY_API_KEY", "app.key:wrong-but-long")]).await;
    world.say("r", 5, "text").await;
    let work = |body: &str| json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": body}]});
    let again = Answer::Response(json!({"batchItemFailures": [{"itemIdentifier": "m"}]}));
    assert_eq!(world.invoke(&work(r#"{"room":"r"}"#)).await, again);
    assert_eq!(world.invoke(&work("nonsense")).await, again);
    for event in [json!({}), json!({"task": "everything"}), json!({"source": "channel.message"})] {
        assert!(matches!(world.invoke(&event).await, Answer::Error(_)), "{event}");
    }
    assert!(matches!(world.invoke(&json!({"task": "signs"})).await, Answer::Error(_)));
    world.services.set_queue_down(true);
    assert!(matches!(world.invoke(&json!({"task": "rooms"})).await, Answer::Error(_)));
    let log = world.function.kill().await;
    for reason in ["ABLY_API_KEY is refused", "no work", "GapsNotRepaired\":1", "sqs:SendMessage"] {
        assert!(log.contains(reason), "{reason} in {log}");
    }
    assert!(!log.contains("wrong-but-long"));
}

#[tokio::test]
async fn wrong_settings_stop_the_start() {
    let (engine, api) = (Engine::start().await, RuntimeApi::start().await);
    let function = FunctionProcess::spawn(Path::new(BINARY), &api, &engine.env());
    let (status, log) = function.wait().await;
    assert!(!status.success() && log.contains("ABLY_API_KEY is not set"), "{log}");
}

/// Messages would be compared as ciphertext, as if nobody had a key.
#[tokio::test]
async fn a_cipher_key_that_cannot_be_read_stops_the_start() {
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:cipher-key-AbCdEf";
    let world = World::start(&[("CIPHER_KEY", arn), ("AWS_MAX_ATTEMPTS", "1")]).await;
    let (status, log) = world.function.wait().await;
    assert!(!status.success() && log.contains("not started"), "{log}");
    assert!(log.contains(&format!("secretsmanager:GetSecretValue on {arn}")), "{log}");
}
