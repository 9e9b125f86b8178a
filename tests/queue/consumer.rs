//! The built queue consumer against a real RabbitMQ: what is stored, what the broker is told and when,
//! through crashes of either.

use std::collections::{BTreeSet, HashMap};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::function::{TIMEOUT, sample};
use crate::common::{self, Delivery, EPOCH, Model};
use ably_chat_exporter::config::QueueConfig;
use ably_chat_exporter::intake::Intake;
use ably_chat_exporter::queue::{Consumer, Options, Status, serve};
use ably_chat_exporter::store::{Settings, Versions};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::{Answer, Broker, Capacity, Depth, Engine, Fault, FaultProxy, RuntimeApi, Services};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const BINARY: &str = env!("CARGO_BIN_EXE_ably-chat-queue");
const EMPTY: Depth = Depth { ready: 0, unacknowledged: 0 };
/// How long anything here may take, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(240);

/// A running consumer. Dropping it kills it.
struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
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
        Self::spawn_at([&broker.url, &broker.queue()], endpoint, services, settings, flags).await
    }

    /// A consumer of a broker's queue, by its URL and its name.
    async fn spawn_at(
        [url, queue]: [&str; 2],
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
                ("ABLY_QUEUE_URL", url),
                ("ABLY_QUEUE", queue),
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
        let output = Arc::new(Mutex::new(first));
        let log = Arc::clone(&output);
        let reading = tokio::spawn(async move {
            let mut line = String::new();
            while lines.read_line(&mut line).await.expect("a pipe can be read") > 0 {
                log.lock().expect("nobody panics").push_str(&line);
                line.clear();
            }
        });
        Self { child, output, reading, address }
    }

    /// What it has logged so far.
    fn log(&self) -> String {
        self.output.lock().expect("nobody panics").clone()
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
        (&mut self.reading).await.expect("reading does not panic");
        (status, self.log())
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
        let health = get(&self.address, "/healthz").await;
        (figure(&self.address, name).await, health.starts_with("HTTP/1.0 200"))
    }

    /// What `/healthz` says.
    async fn health(&self) -> Value {
        let answer = get(&self.address, "/healthz").await;
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

/// What a consumer answers to a GET.
async fn get(address: &str, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it serves");
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

async fn figure(address: &str, name: &str) -> f64 {
    let metrics = get(address, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    line.rsplit(' ').next().expect("a value").parse().expect("a number")
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

/// Half a minute without a table: nothing is lost, nothing turns in circles, and it shows.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_is_waited_out() {
    const OUTAGE: Duration = Duration::from_secs(30);
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let is_down = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_down);
    let proxy = FaultProxy::of_puts(&engine.endpoint, move |_| {
        if switch.load(Ordering::SeqCst) { Fault::Throttle } else { Fault::None }
    })
    .await;
    let (_connection, channel) = publisher(&broker).await;
    let bodies: Vec<_> = (0..200).map(|number| message(number, "hello")).collect();
    publish(&broker, &channel, &bodies).await;
    let settings = [("PREFETCH", "20"), ("VERSIONS", "all")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
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

    // regression: /healthz said nothing of it, and each attempt wrote a line for each message.
    let health = process.health().await;
    assert_eq!(health["store"], "failing", "{health}");
    assert_eq!(health["lastStored"], Value::Null);
    let reason = health["reason"].as_str().expect("a reason");
    assert!(reason.contains("ThrottlingException"), "{reason}");
    assert!(health["failingSince"].as_i64() > Some(EPOCH / 1_000), "{health}");
    let (failing, is_well) = process.figures("ably_chat_queue_store_failing").await;
    assert!(failing > 0.5 && is_well, "to replace the consumer would not help");
    let check = Command::new(BINARY).arg("--check").env("HTTP_ADDRESS", &process.address).output();
    let check = check.await.expect("it runs");
    assert!(check.status.success());
    assert!(String::from_utf8_lossy(&check.stdout).contains("\"store\":\"failing\""));
    let log = process.log();
    let complaints = log.matches("the table takes no messages; trying again").count();
    assert!((1..=3).contains(&complaints), "{log}");
    assert_eq!(log.matches("\"ERROR\"").count(), complaints, "{log}");

    is_down.store(false, Ordering::SeqCst);
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, 200);
    let health = process.health().await;
    assert_eq!(health["store"], "ok", "{health}");
    assert!(health["lastStored"].as_i64() > Some(EPOCH / 1_000), "{health}");
    let (requeued, _) = process.figures("ably_chat_queue_requeued_total").await;
    assert!(requeued < 0.5, "half a minute is borne: {requeued}");
    let (status, _) = process.stop().await;
    assert!(status.success());
}

/// A table of 150 writes a second: one failure used to hand back everything behind it, stored or
/// not, and to write all of that again took what there was to take.
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_throttling_table_gets_what_it_takes_and_nothing_twice() {
    const MESSAGES: usize = 600;
    const PUTS: u64 = 2 * MESSAGES as u64;
    const RATE: f64 = 150.0;
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let capacity = Capacity::new(RATE);
    let table = Arc::clone(&capacity);
    let proxy = FaultProxy::of_puts(&engine.endpoint, move |_| table.fault()).await;
    let (_connection, channel) = publisher(&broker).await;
    let bodies: Vec<_> = (0..MESSAGES).map(|number| message(number, "hello")).collect();
    publish(&broker, &channel, &bodies).await;
    let settings = [("AWS_MAX_ATTEMPTS", "10")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    until("a write", async || capacity.admitted() > 0).await;
    let started = Instant::now();
    until("all rows", async || capacity.admitted() >= PUTS).await;
    let (took, ideal) = (started.elapsed().as_secs_f64(), PUTS as f64 / RATE);
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, 2 * MESSAGES);
    assert_eq!(capacity.admitted(), PUTS, "nothing is written twice");
    let attempts = proxy.requests();
    assert!(attempts < 3 * PUTS, "{attempts} attempts");
    assert!(took < 1.5 * ideal, "{took} s instead of {ideal}");
    assert!(process.stop().await.0.success());
}

/// The order of arrival outlives failures: a summary that failed came again after a newer one that
/// was in hand already, and replaced it.
#[tokio::test(flavor = "multi_thread")]
async fn regression_an_old_summary_does_not_replace_a_newer_one_in_hand() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let first_fails = |put| if put == 0 { Fault::Throttle } else { Fault::None };
    let proxy = FaultProxy::of_puts(&engine.endpoint, first_fails).await;
    let (_connection, channel) = publisher(&broker).await;
    publish(&broker, &channel, &[summary(1), summary(2)]).await;
    let settings = [("PREFETCH", "2")];
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &settings, &[]).await;
    until_empty(&broker).await;
    assert_eq!(reactions(&engine).await, "2");
    assert!(process.stop().await.0.success());
}

/// A summary of the reactions to one message: how many there are.
fn summary(total: u64) -> Vec<u8> {
    let serial = format!("{:014}-000@aBcDeFgHi12345678:000", 1);
    let summary = json!({"reaction:distinct.v1": {"👍": {"total": total}}});
    let message = json!({"name": "chat.message", "serial": serial, "timestamp": EPOCH, "action": 4,
                         "version": {"serial": serial, "timestamp": EPOCH},
                         "annotations": {"summary": summary}});
    json!({"source": "channel.message", "channel": "r::$chat", "messages": [message]})
        .to_string()
        .into_bytes()
}

/// How many reactions the one row in the table says.
async fn reactions(engine: &Engine) -> String {
    let rows = engine.rows().await;
    let [row] = &rows[..] else { panic!("one row: {rows:?}") };
    let text = format!("{row:?}");
    let total = text.split("\"total\": N(\"").nth(1).unwrap_or_else(|| panic!("a total: {text}"));
    total.chars().take_while(char::is_ascii_digit).collect()
}

/// What clients of an engine are made from, in this process.
fn sdk(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// What is not stored in time goes back to its place, with what is behind it in its row; what is
/// stored does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_long_outage_keeps_out_goes_back_in_its_order() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    // The row of reactions alone cannot be written, until it has gone back.
    let is_down = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_down);
    let proxy = FaultProxy::of_puts(&engine.endpoint, move |put| {
        if put > 0 && switch.load(Ordering::SeqCst) { Fault::Internal } else { Fault::None }
    })
    .await;
    let (_connection, channel) = publisher(&broker).await;
    let bodies = [message(0, "hello"), summary(1), summary(2)];
    publish(&broker, &channel, &bodies).await;
    let env: HashMap<String, String> = testkit::env(&proxy.endpoint)
        .into_iter()
        .chain(services.env())
        .chain([("ABLY_QUEUE_URL".to_owned(), broker.url.clone())])
        .chain([("ABLY_QUEUE".to_owned(), broker.queue())])
        .chain(
            [("ROOM_INDEX", "off"), ("VERSIONS", "all"), ("PREFETCH", "4")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
        .collect();
    let config = QueueConfig::read(|name| env.get(name).cloned(), false).expect("settings");
    let sdk = sdk(&proxy.endpoint);
    let options = Options {
        address: config.address,
        queues: config.queues,
        prefetch: config.prefetch,
        patience: Duration::from_secs(1),
    };
    let intake = Intake::new(config.config, &sdk);
    let status = Status::new();
    let address = serve(config.http_address, &status).await.expect("a free port").to_string();
    let consumer = Consumer::new(intake, options, status);
    let stop = CancellationToken::new();
    let stopped = async {
        let requeued = "ably_chat_queue_requeued_total";
        until("a second return", async || figure(&address, requeued).await > 3.5).await;
        is_down.store(false, Ordering::SeqCst);
        until_empty(&broker).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(consumer.run(&stop), stopped);
    assert_eq!(ended, Ok(()));
    let rows = engine.rows().await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    let text = format!("{rows:?}");
    assert!(text.contains("\"total\": N(\"2\")"), "{text}");
}

/// SIGTERM while a table fails used to abort: the wish to stop was waited for twice.
#[tokio::test(flavor = "multi_thread")]
async fn regression_sigterm_during_an_outage_ends_with_success() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let proxy = FaultProxy::of_puts(&engine.endpoint, |_| Fault::Throttle).await;
    let (_connection, channel) = publisher(&broker).await;
    publish(&broker, &channel, &[message(0, "hello"), message(1, "hello")]).await;
    let process = Process::spawn(&broker, &proxy.endpoint, &services, &[], &[]).await;
    until("writes", async || proxy.requests() > 3).await;
    let (status, log) = process.stop().await;
    assert!(status.success(), "{status} {log}");
    assert!(log.contains("\"stopped\""), "{log}");
    until("what was given back", async || {
        depth(&broker, &broker.queue()).await == Depth { ready: 2, unacknowledged: 0 }
    })
    .await;
}

/// The same while what cannot be parked waits to go back to the queue.
#[tokio::test(flavor = "multi_thread")]
async fn regression_sigterm_during_an_outage_of_the_failure_queue_ends_with_success() {
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    services.set_queue_down(true);
    let (_connection, channel) = publisher(&broker).await;
    publish(&broker, &channel, &[b"not JSON".to_vec(), message(0, "hello")]).await;
    let queue = services.queue_url();
    let settings = [("FAILURE_QUEUE_URL", queue.as_str()), ("VERSIONS", "all")];
    let process = Process::spawn(&broker, &engine.endpoint, &services, &settings, &[]).await;
    until("an attempt", async || process.figures("ably_chat_queue_requeued_total").await.0 > 2.5)
        .await;
    let (status, log) = process.stop().await;
    assert!(status.success(), "{status} {log}");
    assert_eq!(rows(&engine).await, 1, "the neighbour of what cannot be parked is stored");
    until("what was given back", async || {
        depth(&broker, &broker.queue()).await == Depth { ready: 1, unacknowledged: 0 }
    })
    .await;
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

/// A thousand messages of 250 KB, and others before that make the consumer expect small ones.
#[tokio::test(flavor = "multi_thread")]
async fn regression_memory_is_counted_in_bytes_and_not_in_messages() {
    const BIG: usize = 1_000;
    const SMALL: usize = 3_000;
    let broker = Broker::start();
    let (engine, services) = (Engine::start().await, Services::start().await);
    let (_connection, channel) = publisher(&broker).await;
    let small: Vec<_> = (0..SMALL).map(|number| message(number, "hello")).collect();
    publish(&broker, &channel, &small).await;
    let text = "x".repeat(250_000);
    for number in (SMALL..SMALL + BIG).step_by(100) {
        let big: Vec<_> = (number..number + 100).map(|number| message(number, &text)).collect();
        publish(&broker, &channel, &big).await;
    }
    let settings = [("VERSIONS", "latest")];
    let process = Process::spawn(&broker, &engine.endpoint, &services, &settings, &[]).await;
    until_empty(&broker).await;
    assert_eq!(rows(&engine).await, SMALL + BIG);
    let memory = process.memory_mb();
    assert!(memory < 200, "{memory} MB");
    let (status, log) = process.stop().await;
    assert!(status.success(), "{log}");
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

/// A table with other keys used to send every message to the dead letters.
#[tokio::test]
async fn regression_a_table_with_other_keys_is_a_wrong_setting() {
    let engine = Engine::start().await;
    let attribute = |name: &str, kind| {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(kind);
        attribute.build().expect("a name and a type")
    };
    let key = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("a key")
    };
    let (string, number) = (ScalarAttributeType::S, ScalarAttributeType::N);
    let (hash, range) = (KeyType::Hash, KeyType::Range);
    for (table, keys, expected) in [
        ("hash", vec![("pk", string.clone())], "pk (S, HASH);"),
        (
            "ids",
            vec![("id", string.clone()), ("sk", string.clone())],
            "id (S, HASH), sk (S, RANGE);",
        ),
        ("numbers", vec![("pk", string), ("sk", number)], "pk (S, HASH), sk (N, RANGE);"),
    ] {
        let kinds = [hash.clone(), range.clone()];
        let schema = keys.iter().zip(kinds).map(|((name, _), kind)| key(name, kind)).collect();
        let types = keys.iter().map(|(name, kind)| attribute(name, kind.clone())).collect();
        let create = engine.client().create_table().table_name(table);
        let create = create.set_key_schema(Some(schema)).set_attribute_definitions(Some(types));
        create.billing_mode(BillingMode::PayPerRequest).send().await.expect("a table");
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
