//! What stops the start, and what does not.

use aws_sdk_dynamodb::types::ScalarAttributeType;
use serde_json::Value;
use testkit::{Broker, Engine, Fault, FaultProxy, Services};
use tokio::process::Command;

use crate::messages::{message, rows};
use crate::process::{BINARY, PATIENCE, Process};
use crate::rabbit::{publish, publisher, until_empty};

/// The settings that a program that does not start names: a list, and not a text of one.
async fn mistakes(mut command: Command) -> Vec<String> {
    let output = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output());
    let output = output.await.expect("it ends by itself").expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stdout);
    let line = log.lines().last().expect("a line");
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!([&line["level"], &line["message"]], ["ERROR", "not started: wrong settings"]);
    let mistakes = line["mistakes"].as_array().expect("a list").iter();
    mistakes.map(|mistake| mistake.as_str().expect("a text").to_owned()).collect()
}

/// A consumer that would run against this table, but for `settings`.
fn command(engine: &Engine, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().envs(engine.env()).envs([
        ("ABLY_QUEUE_URL", "amqp://guest:guest@127.0.0.1:1/%2f"),
        ("ABLY_QUEUE", "app:chat"),
        ("HTTP_ADDRESS", "127.0.0.1:0"),
    ]);
    command.envs(settings.iter().copied());
    command
}

#[tokio::test]
async fn wrong_settings_stop_the_start_and_are_all_named() {
    let mut command = Command::new(BINARY);
    command.env_clear().arg("--dead-letters").envs([
        ("ABLY_QUEUE_URL", "amqp://app.key:hidden@queue.example.com/shared"),
        ("ABLY_QUEUE", "chat"),
        ("PREFETCH", "0"),
        ("HTTP_ADDRESS", "8080"),
        ("LOG_LEVEL", "loud"),
    ]);
    let log = mistakes(command).await.join("\n");
    for mistake in [
        "TABLE_NAME is not set",
        "ABLY_QUEUE_URL: amqp:// would send the key in the clear",
        "is not a queue's full name, APPID:name",
        "PREFETCH: expected a whole number from 1 to 65535",
        "HTTP_ADDRESS: expected an address and a port",
        "LOG_LEVEL: expected TRACE",
    ] {
        assert!(log.contains(mistake), "{mistake} in {log}");
    }
    assert!(!log.contains("hidden"), "{log}");
    let check = Command::new(BINARY).arg("--check").env("HTTP_ADDRESS", "127.0.0.1:1").output();
    assert!(!check.await.expect("it runs").status.success(), "nobody is there");
}

/// A table with other keys used to send every message to the dead letters.
#[tokio::test]
async fn regression_a_table_with_other_keys_is_a_wrong_setting() {
    let engine = Engine::start().await;
    let (string, number) = (ScalarAttributeType::S, ScalarAttributeType::N);
    for (table, keys, expected) in [
        ("hash", vec![("pk", string.clone())], "pk (S, HASH);"),
        (
            "ids",
            vec![("id", string.clone()), ("sk", string.clone())],
            "id (S, HASH), sk (S, RANGE);",
        ),
        ("numbers", vec![("pk", string), ("sk", number)], "pk (S, HASH), sk (N, RANGE);"),
    ] {
        engine.add_table(table, &keys).await;
        let [mistake] = &mistakes(command(&engine, &[("TABLE_NAME", table)])).await[..] else {
            panic!("one mistake")
        };
        assert!(mistake.starts_with("TABLE_NAME: ") && mistake.contains(expected), "{mistake}");
    }
}

/// No table, region or credentials: it used to run, to be well, and never to store anything.
#[tokio::test]
async fn regression_what_can_never_store_does_not_start() {
    let engine = Engine::start().await;
    for (settings, expected) in [
        (&[("TABLE_NAME", "nowhere")][..], "there is no table \"nowhere\" in region \"eu-west-1\""),
        (&[("AWS_REGION", ""), ("AWS_EC2_METADATA_DISABLED", "true")], "see AWS_REGION"),
        (&[("AWS_REGION", "eu west 1")], "invalid value for field: `region`"),
        (
            &[
                ("AWS_ACCESS_KEY_ID", ""),
                ("AWS_SECRET_ACCESS_KEY", ""),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ],
            "there are no AWS credentials",
        ),
        (
            &[("ABLY_APP_ID", "another")],
            "the queue \"app:chat\" in ABLY_QUEUE is of the app \"app\"",
        ),
    ] {
        let mistakes = mistakes(command(&engine, settings)).await;
        assert!(mistakes.len() == 1 && mistakes[0].contains(expected), "{mistakes:?}");
    }
}

/// To look at the table needs a permission that nothing else needs, and may fail for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_looked_at_is_no_reason_not_to_start() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let (_connection, channel) = publisher(&broker).await;
    let forbidden = |request| match request {
        0 => Fault::Refuse("AccessDeniedException"),
        _ => Fault::None,
    };
    let hesitant = |request| if request < 2 { Fault::Internal } else { Fault::None };
    for (proxy, warning, warnings) in [
        (FaultProxy::start(&engine.endpoint, forbidden).await, "going on without looking", 1),
        (FaultProxy::start(&engine.endpoint, hesitant).await, "the table does not answer", 2),
    ] {
        publish(&broker, &channel, &[message(0, "hello")]).await;
        let process = Process::spawn(&broker, &proxy.endpoint, &services, &[], &[]).await;
        until_empty(&broker).await;
        let (status, log) = process.stop().await;
        assert!(status.success(), "{log}");
        assert_eq!(log.matches(warning).count(), warnings, "{log}");
    }
    assert_eq!(rows(&engine).await, 2);
}

/// Messages would be stored as ciphertext, as if nobody had a key.
#[tokio::test]
async fn a_cipher_key_that_cannot_be_read_stops_the_queue_consumer() {
    let (engine, services) = (Engine::start().await, Services::start().await);
    let key = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/cipher-key";
    let mut command = command(&engine, &[("CIPHER_KEY", key), ("AWS_MAX_ATTEMPTS", "1")]);
    let ended = command.envs(services.env()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends by itself");
    let output = ended.expect("it runs");
    assert!(!output.status.success());
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("\"message\":\"not started: a secret cannot be read\""), "{log}");
    assert!(log.contains(&format!("\"reason\":\"CIPHER_KEY: ssm:GetParameter on {key}")), "{log}");
}
