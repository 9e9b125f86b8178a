//! What a broker refuses, and one that is not there.

use testkit::{Broker, Engine, Services};

use crate::process::{Process, until};
use crate::rabbit::publisher;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_refuses_is_said_by_the_setting_to_change() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let (_connection, _channel) = publisher(&broker).await;
    let wrong_password = broker.url.replace("guest:guest", "guest:secret-word");
    let wrong_host = broker.url.replace("%2f", "elsewhere");
    for (setting, value, reason) in [
        ("ABLY_QUEUE_URL", wrong_password.as_str(), "the key is refused; see ABLY_QUEUE_URL"),
        ("ABLY_QUEUE_URL", &wrong_host, "the virtual host \\\"elsewhere\\\" is refused"),
        ("ABLY_QUEUE", "app:nothing", "there is no queue \\\"app:nothing\\\"; see ABLY_QUEUE"),
    ] {
        let settings = [(setting, value)];
        let process = Process::spawn(&broker, &engine.endpoint, &services, &settings, &[]).await;
        let (status, log) = process.wait().await;
        assert!(!status.success(), "{log}");
        assert!(log.contains(reason), "{reason} in {log}");
        assert_eq!(log.matches("refused; trying again").count(), 2, "it tried three times: {log}");
        assert!(!log.contains("secret-word"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_a_lost_connection_names_the_broker() {
    let (engine, services) = (Engine::start().await, Services::start().await);
    let nobody = ["amqp://guest:secret-word@127.0.0.1:1/%2f", "app:chat"];
    let process = Process::spawn_at(nobody, &engine.endpoint, &services, &[], &[]).await;
    until("a complaint", async || process.log().contains("connection lost")).await;
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
    let line = log.lines().find(|line| line.contains("connection lost")).expect("a line");
    assert!(line.contains("\"broker\":\"amqp://127.0.0.1:1/"), "{line}");
    assert!(!log.contains("secret-word"), "{log}");
}
