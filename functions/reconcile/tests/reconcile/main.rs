//! The built reconcile function, as Lambda runs it, against stand-ins of Ably's REST API and SQS
//! and a DynamoDB engine.

mod outages;
mod property;
mod trouble;
mod world;

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testkit::{Ably, Answer, Engine, FunctionProcess, RuntimeApi};
use world::{BINARY, TIMEOUT, World};

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
    assert!(log.contains("\"GapsNotRepaired\":1"), "{log}");
    assert!(log.contains("\"gap\":\"different\",\"members\":\"text\""), "{log}");
    assert!(!log.contains("as it is kept") && !log.contains("as it was said"));
}

/// A room that takes longer than an invocation may goes back to the queue, and on from its
/// checkpoint.
#[tokio::test]
async fn a_long_walk_goes_on_in_another_invocation() {
    let mut world = World::start(&[]).await;
    for minutes in 0..60 {
        world.say("r", 100 - minutes, "text").await;
    }
    world.ably.behave(|it| it.page = 20);
    world.invoke(&json!({"task": "rooms"})).await;
    // Too short for more than a chunk; each walk but the first begins a minute before its
    // checkpoint.
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

#[tokio::test]
async fn what_fails_comes_again_and_says_why() {
    let world = World::start(&[("ABLY_API_KEY", "aB3dEf.kEy1Id:wrong-but-long")]).await;
    world.say("r", 5, "text").await;
    let work = |body: &str| {
        let record = json!({"messageId": "m", "eventSource": "aws:sqs", "body": body});
        json!({"Records": [record]})
    };
    let again = Answer::Response(json!({"batchItemFailures": [{"itemIdentifier": "m"}]}));
    assert_eq!(world.invoke(&work(r#"{"room":"r"}"#)).await, again);
    assert_eq!(world.invoke(&work("nonsense")).await, again);
    for event in [json!({}), json!({"task": "everything"}), json!({"source": "channel.message"})] {
        assert!(matches!(world.invoke(&event).await, Answer::Error(_)), "{event}");
    }
    for task in ["signs", "rooms"] {
        assert!(matches!(world.invoke(&json!({"task": task})).await, Answer::Error(_)));
    }
    let log = world.function.kill().await;
    for reason in ["ABLY_API_KEY is refused", "no work", "GapsNotRepaired\":1"] {
        assert!(log.contains(reason), "{reason} in {log}");
    }
    assert!(!log.contains("wrong-but-long"));

    let world = World::start(&[]).await;
    world.say("r", 5, "text").await;
    world.services.set_queue_down(true);
    assert!(matches!(world.invoke(&json!({"task": "rooms"})).await, Answer::Error(_)));
    let log = world.function.kill().await;
    assert!(log.contains("sqs:SendMessage") && !log.contains("RoomsQueued"), "{log}");
}

#[tokio::test]
async fn wrong_settings_stop_the_start() {
    let (engine, api) = (Engine::start().await, RuntimeApi::start().await);
    let function = FunctionProcess::spawn(Path::new(BINARY), &api, &engine.env());
    let (status, log) = function.wait().await;
    assert!(!status.success() && log.contains("ABLY_API_KEY is not set"), "{log}");
    let more = [("ABLY_API_KEY", Ably::KEY), ("ABLY_APP_ID", "prod")];
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = [engine.env(), more.to_vec()].concat();
    let (status, log) = FunctionProcess::spawn(Path::new(BINARY), &api, &env).wait().await;
    let reason = "ABLY_API_KEY: a key of app";
    assert!(!status.success() && log.contains(reason), "{log}");
}

/// A key that is kept elsewhere names its app when it is read: nothing is asked for with it.
#[tokio::test]
async fn regression_the_key_of_another_app_reads_nothing() {
    const ARN: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/ably-api-key";
    let mut world = World::start(&[("ABLY_API_KEY", ARN), ("ABLY_APP_ID", "prod")]).await;
    world.services.set_secret(ARN, Ably::KEY);
    world.say("r", 5, "text").await;
    for task in
        [json!({"task": "rooms"}), json!({"task": "rooms", "days": 2}), json!({"task": "signs"})]
    {
        let answer = world.invoke(&task).await;
        let Answer::Error(error) = answer else { panic!("{answer:?}") };
        assert!(error.to_string().contains("but ABLY_APP_ID is"), "{error}");
    }
    let again = Answer::Response(json!({"batchItemFailures": [{"itemIdentifier": "m"}]}));
    assert_eq!(world.hand_out(&json!({"room": "r"}), TIMEOUT).await, again);
    assert_eq!((world.work(TIMEOUT).await, world.ably.requests()[0]), (0, 0));
    assert_eq!(world.rows("r", "message#").await, 0);
}

/// Longer than a request used to be allowed to take, and never long without a byte.
#[tokio::test]
async fn regression_a_page_that_flows_for_eleven_seconds_arrives() {
    let world = World::start(&[]).await;
    world.say("r", 5, &"text ".repeat(200)).await;
    world.ably.behave(|it| it.flow = Some((11, Duration::from_secs(1))));
    let done = Answer::Response(json!({"batchItemFailures": []}));
    assert_eq!(world.hand_out(&json!({"room": "r"}), TIMEOUT).await, done);
    assert_eq!(world.rows("r", "message#").await, 1);
}

/// Its end is not in Ably's history yet: it comes again, and is not cut short.
#[tokio::test]
async fn regression_a_window_that_is_not_over_is_walked_later() {
    let world = World::start(&[]).await;
    world.say("r", 5, "text").await;
    let until = world.now + 3_600_000;
    let work = json!({"room": "r", "from": world.now - 600_000, "until": until});
    let done = Answer::Response(json!({"batchItemFailures": []}));
    assert_eq!(world.hand_out(&work, TIMEOUT).await, done);
    assert_eq!(world.queued(), [work]);
    assert_eq!(world.services.delays(), [900]);
    assert_eq!(world.rows("r", "").await, 0);
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

/// Whatever a forged delivery calls a room: that Ably has none of that name is said once, and fails
/// no look.
#[tokio::test]
async fn regression_a_name_that_no_room_can_have_is_no_alarm_for_ever() {
    let world = World::start(&[]).await;
    let done = Answer::Response(json!({"batchItemFailures": []}));
    for _ in 0..2 {
        assert_eq!(world.hand_out(&json!({"room": "a\nb"}), TIMEOUT).await, done);
    }
    let log = world.function.kill().await;
    assert_eq!(log.matches("no room of Ably's has this name").count(), 1, "{log}");
    assert!(log.contains("40010") && !log.contains("room not reconciled"), "{log}");
}

/// A look at a sign of trouble leaves the first receipt of a room: what came before is looked at
/// later.
#[tokio::test]
async fn regression_the_first_receipt_is_not_where_a_room_begins() {
    let world = World::start(&[]).await;
    world.say("r", 60, "of an hour ago").await;
    world.say("r", 14_400, "of ten days ago").await;
    let done = Answer::Response(json!({"batchItemFailures": []}));
    let (from, until) = (world.now - 3_900_000, world.now - 3_300_000);
    let sign = json!({"room": "r", "from": from, "until": until});
    assert_eq!(world.hand_out(&sign, TIMEOUT).await, done);
    assert_eq!(world.rows("r", "message#").await, 1);
    assert_eq!(world.hand_out(&json!({"room": "r"}), TIMEOUT).await, done);
    assert_eq!(world.rows("r", "message#").await, 2);
}
