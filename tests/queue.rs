//! The built queue consumer against a real RabbitMQ: what is stored, what the broker is told and when,
//! through crashes of either.

mod common;

use std::collections::BTreeSet;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ably_chat_exporter::store::{Settings, Versions};
use common::function::{TIMEOUT, sample};
use common::{Delivery, EPOCH, Model};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Broker, Depth, Engine, Fault, FaultProxy, RuntimeApi, Services};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

const BINARY: &str = env!("CARGO_BIN_EXE_ably-chat-queue");
const EMPTY: Depth = Depth { ready: 0, unacknowledged: 0 };
/// How long anything here may take, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(240);

/// A running consumer. Dropping it kills it.
struct Process {
    child: Child,
    output: JoinHandle<String>,
    /// Where `/healthz` and `/metrics` are.
    address: String,
}

impl Process {
    async fn spawn(
        broker: &Broker,
        endpoint: &str,
        services: &Services,
        settings: &[(&str, &str)],
        flags: &[&str],
    ) -> Self {
        let mut child = Command::new(BINARY)
            .args(flags)
            .env_clear()
            .envs(testkit::env(endpoint))
            .envs(services.env())
            // Notes of rooms have tests of their own.
            .env("ROOM_INDEX", "off")
            .envs([
                ("ABLY_QUEUE_URL", broker.url.as_str()),
                ("ABLY_QUEUE", &broker.queue()),
                ("HTTP_ADDRESS", "127.0.0.1:0"),
                ("AWS_MAX_ATTEMPTS", "1"),
            ])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the consumer's binary is built");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut first = String::new();
        lines.read_line(&mut first).await.expect("a pipe can be read");
        let address = serde_json::from_str::<Value>(&first).expect("a log line is JSON")["address"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let output = tokio::spawn(async move {
            let mut rest = String::new();
            lines.read_to_string(&mut rest).await.expect("a pipe can be read");
            first + &rest
        });
        Self { child, output, address }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// SIGTERM, and how it ended.
    async fn stop(self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.wait().await
    }

    async fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().await.expect("a child process can be waited for");
        (status, self.output.await.expect("reading does not panic"))
    }

    async fn crash(mut self) {
        self.child.kill().await.expect("a child process can be killed");
    }

    fn memory_mb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id().expect("it runs"));
        let status = std::fs::read_to_string(path).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
        let kilobytes = line.split_whitespace().nth(1).expect("a figure");
        kilobytes.parse::<u64>().expect("a number") / 1_024
    }

    /// One figure of `/metrics`; and whether `/healthz` says that all is well.
    async fn figures(&self, name: &str) -> (f64, bool) {
        let get = async |path: &str| {
            let mut stream =
                tokio::net::TcpStream::connect(&self.address).await.expect("it serves");
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
                .await
                .expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let metrics = get("/metrics").await;
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
        let value = line.rsplit(' ').next().expect("a value").parse().expect("a number");
        (value, get("/healthz").await.starts_with("HTTP/1.0 200"))
    }
}

/// Waits until `is_so`, asking now and then.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_empty(broker: &Broker) {
    until("an empty queue", async || depth(broker, &broker.queue()).await == EMPTY).await;
}

/// How deep a queue is. Of a broker that is not our own, only what waits can be told.
async fn depth(broker: &Broker, queue: &str) -> Depth {
    if let Some(depth) = broker.depth(queue) {
        return depth;
    }
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&broker.url, properties).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let declared = channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
    let ready = declared.expect("the queue").message_count().into();
    connection.close(200, "done".into()).await.expect("closed");
    Depth { ready, unacknowledged: 0 }
}

/// Ably's side: makes the queue, with its dead letters, and publishes.
async fn publisher(broker: &Broker) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&broker.url, properties).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut dead_letters = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    dead_letters.insert("x-dead-letter-exchange".into(), text(""));
    dead_letters.insert("x-dead-letter-routing-key".into(), text(&broker.dead_letters()));
    for (queue, arguments) in
        [(broker.dead_letters(), FieldTable::default()), (broker.queue(), dead_letters)]
    {
        channel.queue_declare(queue.as_str().into(), durable, arguments).await.expect("a queue");
        // The cases of a property share the queue.
        channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("purged");
    }
    (connection, channel)
}

async fn publish(broker: &Broker, channel: &Channel, bodies: &[Vec<u8>]) {
    let mut confirms = Vec::with_capacity(bodies.len());
    for body in bodies {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let confirm =
            channel.basic_publish("".into(), broker.queue().into(), options, body, properties);
        confirms.push(confirm.await.expect("published"));
    }
    for confirm in confirms {
        assert!(confirm.await.expect("an answer").is_ack());
    }
}

fn message(number: usize, text: &str) -> Vec<u8> {
    let serial = format!("{:014}-000@aBcDeFgHi12345678:000", number + 1);
    let message = json!({"name": "chat.message", "serial": serial, "timestamp": EPOCH,
                         "data": {"text": text}});
    json!({"source": "channel.message", "channel": "r::$chat", "messages": [message]})
        .to_string()
        .into_bytes()
}

async fn rows(engine: &Engine) -> usize {
    engine.rows().await.len()
}

/// Twenty thousand messages, some of them twice; the broker is restarted twice and the consumer killed
/// five times on the way. Whatever the broker no longer has is in the table, at every time.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_of_either_side_lose_nothing() {
    const MESSAGES: usize = 20_000;
    const EVERY: usize = 10;
    let mut broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::None).await;
    let mut bodies: Vec<_> = (0..MESSAGES).map(|number| message(number, "hello")).collect();
    let twice: Vec<_> = bodies.iter().step_by(EVERY).cloned().collect();
    let (published, duplicates) = (MESSAGES + twice.len(), twice.len());
    bodies.splice(MESSAGES / 2..MESSAGES / 2, twice);
    let (connection, channel) = publisher(&broker).await;
    publish(&broker, &channel, &bodies).await;
    connection.close(200, "done".into()).await.expect("closed");

    let settings = [("FAILURE_QUEUE_URL", services.queue_url()), ("VERSIONS", "all".into())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let spawn = async |broker: &Broker| {
        Process::spawn(broker, &proxy.endpoint, &services, &settings, &[]).await
    };
    let mut process = spawn(&broker).await;
    for (number, restarts_broker) in
        [false, true, false, false, true, false, false].into_iter().enumerate()
    {
        let goal = 2_500 * (number as u64 + 1);
        until("progress", async || proxy.requests() >= goal).await;
        if restarts_broker {
            // Somebody else's broker is not ours to restart.
            if broker.is_own() {
                broker.restart();
            }
            continue;
        }
        process.crash().await;
        let left = depth(&broker, &broker.queue()).await;
        let acknowledged =
            published - usize::try_from(left.ready + left.unacknowledged).expect("few");
        let stored = rows(&engine).await;
        assert!(
            stored + duplicates >= acknowledged,
            "{acknowledged} acknowledged, {stored} stored"
        );
        process = spawn(&broker).await;
    }
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, MESSAGES);
    assert_eq!(depth(&broker, &broker.dead_letters()).await, EMPTY);
    assert_eq!(services.messages(), Vec::<String>::new());
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
    assert!(log.contains("\"stopped\""), "{log}");
}

/// What does not belong among good messages: four that are wrong for good, two to skip.
fn strange() -> Vec<Vec<u8>> {
    let names = ["not-enveloped", "before-publish", "unknown-action", "presence", "typing"];
    names.map(sample).into_iter().chain([b"not JSON".to_vec()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_never_stops_the_consumer() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let (_connection, channel) = publisher(&broker).await;
    let json: Value = serde_json::from_slice(&message(2, "packed")).expect("JSON");
    let packed = rmp_serde::to_vec(&json).expect("MessagePack");
    let bodies =
        || [vec![message(0, "a")], strange(), vec![packed.clone(), message(1, "b")]].concat();

    // Without a failure queue, Ably's own keeps what is wrong.
    publish(&broker, &channel, &bodies()).await;
    let spawn = async |settings: &[(&str, &str)], flags: &[&str]| {
        Process::spawn(&broker, &engine.endpoint, &services, settings, flags).await
    };
    let process = spawn(&[], &[]).await;
    until("four dead letters", async || depth(&broker, &broker.dead_letters()).await.ready == 4)
        .await;
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, 6);
    let (stored, is_well) = process.figures("ably_chat_queue_stored_total").await;
    assert!((stored - 3.0).abs() < 0.5 && is_well, "{stored}");
    let (rejected, _) = process.figures("ably_chat_queue_rejected_total").await;
    assert!((rejected - 4.0).abs() < 0.5, "{rejected}");
    let check = Command::new(BINARY).arg("--check").env("HTTP_ADDRESS", &process.address).status();
    assert!(check.await.expect("it runs").success());
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
    assert!(log.contains("Ably moves it to its own queue of dead letters"), "{log}");
    for reason in ["turn on \\\"Enveloped\\\"", "before-publish", "unknown action 9", "not JSON"] {
        assert!(log.contains(reason), "{reason} in {log}");
    }
    assert!(!log.contains("Hello") && !log.contains("guest:guest"), "{log}");

    // With one, it is parked, and dead letters can be consumed too.
    let queue = services.queue_url();
    let settings = [("FAILURE_QUEUE_URL", queue.as_str())];
    publish(&broker, &channel, &bodies()).await;
    services.set_queue_down(true);
    let process = spawn(&settings, &["--dead-letters"]).await;
    until("a second try", async || process.figures("ably_chat_queue_requeued_total").await.0 > 8.0)
        .await;
    services.set_queue_down(false);
    until("eight parked", async || services.messages().len() >= 8).await;
    until_empty(&broker).await;
    until("no dead letters", async || depth(&broker, &broker.dead_letters()).await == EMPTY).await;
    assert_eq!(rows(&engine).await, 6);
    let parked: BTreeSet<String> = services
        .messages()
        .iter()
        .map(|text| serde_json::from_str::<Value>(text).expect("JSON")["body"].to_string())
        .collect();
    assert_eq!(parked.len(), 4, "each kind, and nothing else");
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
}

/// Half a minute without a table: nothing is lost, nothing turns in circles.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_is_waited_out() {
    const OUTAGE: Duration = Duration::from_secs(30);
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let is_down = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_down);
    let proxy = FaultProxy::start(&engine.endpoint, move |_| {
        if switch.load(Ordering::SeqCst) { Fault::Throttle } else { Fault::None }
    })
    .await;
    let (_connection, channel) = publisher(&broker).await;
    let bodies: Vec<_> = (0..200).map(|number| message(number, "hello")).collect();
    publish(&broker, &channel, &bodies).await;
    let process = Process::spawn(
        &broker,
        &proxy.endpoint,
        &services,
        &[("PREFETCH", "20"), ("VERSIONS", "all")],
        &[],
    )
    .await;
    let started = Instant::now();
    until("the end of the outage", async || {
        let Depth { ready, unacknowledged } = depth(&broker, &broker.queue()).await;
        assert_eq!(ready + unacknowledged, 200, "nothing is acknowledged");
        assert!(unacknowledged <= 20, "{unacknowledged} in hand");
        started.elapsed() > OUTAGE
    })
    .await;
    let attempts = proxy.requests();
    assert!(attempts < 20 * 20, "{attempts} attempts in half a minute");
    is_down.store(false, Ordering::SeqCst);
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, 200);
    let (status, _) = process.stop().await;
    assert!(status.success());
}

/// A table that takes its time: the broker keeps what has not been stored, not the consumer.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_slows_the_consumer_and_memory_stays_flat() {
    const PREFETCH: u64 = 100;
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Delay(300)).await;
    let (_connection, channel) = publisher(&broker).await;
    let text = "x".repeat(20_000);
    let bodies: Vec<_> = (0..3_000).map(|number| message(number, &text)).collect();
    publish(&broker, &channel, &bodies).await;
    let settings = [("PREFETCH", "100"), ("VERSIONS", "latest")];
    let spawn = async || Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    // Two of them share the queue.
    let (one, two) = (spawn().await, spawn().await);
    until_empty_of(&broker, 2 * PREFETCH).await;
    assert_eq!(rows(&engine).await, 3_000);
    for process in [one, two] {
        let (stored, _) = process.figures("ably_chat_queue_stored_total").await;
        assert!(stored > 300.0, "both had their share: {stored}");
        let memory = process.memory_mb();
        assert!(memory < 64, "{memory} MB, of 60 MB that went through");
        assert!(process.stop().await.0.success());
    }
}

async fn until_empty_of(broker: &Broker, most: u64) {
    until("an empty queue", async || {
        let depth = depth(broker, &broker.queue()).await;
        assert!(depth.unacknowledged <= most, "{depth:?}");
        depth == EMPTY
    })
    .await;
}

/// The order of the queue outlives a failure.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_a_failure_comes_again_behind_it() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let first_fails = |request| if request == 0 { Fault::Throttle } else { Fault::None };
    let proxy = FaultProxy::start(&engine.endpoint, first_fails).await;
    let (_connection, channel) = publisher(&broker).await;
    let bodies: Vec<_> = (0..3).map(|number| message(number, "hello")).collect();
    publish(&broker, &channel, &bodies).await;
    let settings = [("PREFETCH", "6"), ("VERSIONS", "all")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    until("three rows", async || rows(&engine).await == 3).await;
    until_empty(&broker).await;
    let (requeued, _) = process.figures("ably_chat_queue_requeued_total").await;
    let (superseded, _) = process.figures("ably_chat_queue_superseded_total").await;
    assert!(requeued >= 1.0 && (requeued - superseded - 1.0).abs() < 0.5, "{requeued}");
    assert!(process.stop().await.0.success());
}

/// SIGTERM in the middle of a batch: what is in flight is stored and acknowledged, the rest stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_what_is_in_flight() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let proxy = FaultProxy::start(&engine.endpoint, |_| Fault::Delay(1_000)).await;
    let (_connection, channel) = publisher(&broker).await;
    publish(
        &broker,
        &channel,
        &(0..500).map(|number| message(number, "hello")).collect::<Vec<_>>(),
    )
    .await;
    let settings = [("PREFETCH", "40"), ("VERSIONS", "all")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    until("writes", async || proxy.requests() >= 20).await;
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
    let stored = rows(&engine).await as u64;
    assert!(stored >= 20, "{stored}");
    until("what was given back", async || {
        depth(&broker, &broker.queue()).await.unacknowledged == 0
    })
    .await;
    assert_eq!(depth(&broker, &broker.queue()).await.ready, 500 - stored);
}

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
    let output = command.output().await.expect("it runs");
    assert!(!output.status.success());
    let log = String::from_utf8_lossy(&output.stdout);
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

/// The same history through the queue and through the function at once, each in an order of its own.
async fn two_ways_and_compare(broker: &Broker, ways: [Vec<Delivery>; 2]) {
    let (engine, services, api) =
        (Engine::start().await, Services::start().await, RuntimeApi::start().await);
    let (_connection, channel) = publisher(broker).await;
    let _function = common::function::spawn(&api, &engine.env(), &[]);
    let process = Process::spawn(broker, &engine.endpoint, &services, &[], &[]).await;
    let mut model = Model::default();
    let [queued, invoked] = ways;
    let bodies: Vec<_> = queued.iter().map(Delivery::body).collect();
    let answers: Vec<_> =
        invoked.iter().map(|delivery| api.invoke(delivery.body(), TIMEOUT)).collect();
    publish(broker, &channel, &bodies).await;
    for op in queued.iter().chain(&invoked).flat_map(|delivery| &delivery.ops) {
        model.arrive(op, 0);
    }
    for answer in answers {
        assert!(matches!(answer.await, Answer::Response(_)));
    }
    until_empty(broker).await;
    assert!(process.stop().await.0.success());
    let settings = Settings::default();
    let store = common::ingest(&engine, settings).store;
    common::check(&store, &model, Versions::Both).await;
    let [messages, versions, reactions, _] = common::count_rows(&engine).await;
    assert_eq!([messages, versions, reactions], model.rows(settings.versions));
    assert_eq!(depth(broker, &broker.dead_letters()).await, EMPTY);
}

/// One broker for all cases; what proptest draws, each run draws anew.
#[test]
fn the_queue_and_the_function_at_once_do_not_show() {
    let broker = Broker::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ways = common::history().prop_map(common::ordered_by_version).prop_flat_map(|history| {
        [common::deliveries(history.clone()), common::deliveries(history)]
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 8,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&ways, |ways| {
        runtime.block_on(two_ways_and_compare(&broker, ways));
        Ok(())
    });
    outcome.expect("the table is what the history says");
}
