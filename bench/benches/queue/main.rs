//! The queue consumer against a real RabbitMQ and a DynamoDB that takes a fixed time, beside a bare
//! consumer that takes, puts and acknowledges (`floor-queue`), turn by turn.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../function/stub.rs"]
#[expect(dead_code, reason = "the bench of the function asks more of it")]
mod stub;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::json;
use stub::Stub;
use testkit::Broker;
use tokio::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LATENCY: Duration = Duration::from_millis(5);
const MESSAGES: u64 = 20_000;
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let folder = PathBuf::from(folder.ok_or("usage: cargo bench -- FOLDER_OF_BINARIES")?);
    let (broker, stub) = (Broker::start(), Stub::http().await?);
    stub.set_latency(LATENCY);
    let consumer = folder.join("ably-chat-queue");
    let subjects = [
        ("bare consumer, one put a message", folder.join("floor-queue"), ["latest", "on"], 1),
        ("VERSIONS=latest, one row a message", consumer.clone(), ["latest", "on"], 1),
        ("as it comes, two rows a message", consumer.clone(), ["both", "on"], 2),
        ("the same with BULK_INSERTS=off", consumer, ["both", "off"], 2),
    ];
    let mut figures: [Vec<(f64, f64)>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, binary, settings, rows), figures) in subjects.iter().zip(&mut figures) {
            figures.push(round(&broker, &stub, binary, *settings, MESSAGES * rows).await?);
        }
    }
    println!(
        "{MESSAGES} messages in a queue, {LATENCY:?} a request, prefetch 1000; \
         medians of {ROUNDS} rounds"
    );
    println!("{:>50}{:>14}{:>12}", "messages/s", "ratio", "peak MB");
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut base = None;
    for ((name, ..), figures) in subjects.iter().zip(&figures) {
        let rate = median(&mut figures.iter().map(|(rate, _)| *rate).collect());
        let memory = median(&mut figures.iter().map(|(_, memory)| *memory).collect());
        let base = *base.get_or_insert(rate);
        println!("  {name:<38}{rate:>10.0}{:>14.2}{memory:>12.1}", rate / base);
    }
    println!("  targets: 2000 messages/s, ratio 3 as it comes, 64 MB");
    Ok(())
}

/// Fills the queue, lets the subject empty it on the first processor, and gives its messages a
/// second and its peak memory.
async fn round(
    broker: &Broker,
    stub: &Stub,
    binary: &Path,
    [versions, bulk_inserts]: [&str; 2],
    rows: u64,
) -> Result<(f64, f64)> {
    fill(broker).await?;
    stub.take_rows();
    let mut command = Command::new("/usr/bin/taskset");
    let mut subject = command
        .args(["--cpu-list", "0"])
        .arg(binary)
        .env_clear()
        .envs(stub.env.iter().map(|(name, value)| (name, value)))
        .envs([
            ("ABLY_QUEUE_URL", broker.url.as_str()),
            ("ABLY_QUEUE", &broker.queue()),
            ("HTTP_ADDRESS", "127.0.0.1:0"),
            ("VERSIONS", versions),
            ("BULK_INSERTS", bulk_inserts),
        ])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut done = 0;
    let mut started = None;
    while done < rows {
        tokio::time::sleep(Duration::from_millis(2)).await;
        done += stub.take_rows();
        if done > 0 {
            started.get_or_insert_with(Instant::now);
        }
    }
    let seconds = started.ok_or("nothing was written")?.elapsed().as_secs_f64();
    let peak = subject.id().and_then(testkit::peak_memory_kb).ok_or("ended")?;
    // What it has not acknowledged yet is in the way of the next.
    while broker.depth(&broker.queue()).is_some_and(|depth| depth.ready + depth.unacknowledged > 0)
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    subject.kill().await?;
    Ok((MESSAGES as f64 / seconds, peak as f64 / 1_024.0))
}

async fn fill(broker: &Broker) -> Result<()> {
    let connection = Connection::connect(&broker.url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let queue = broker.queue();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await?;
    for number in 0..MESSAGES {
        let serial = format!("{:014}-000@aBcDeFgHi12345678:000", number + 1);
        let message = json!({"id": "kf93kd:0:0", "name": "chat.message", "clientId": "ana",
            "action": 0, "timestamp": 1_767_225_600_000_i64, "serial": serial,
            "version": {"serial": serial, "timestamp": 1_767_225_600_000_i64}, "encoding": "json",
            "data": r#"{"text":"Hello, my order has not arrived.","metadata":{"orderId":4711}}"#,
            "extras": {"headers": {"lang": "en"}}});
        let body = json!({"source": "channel.message", "appId": "aB3dEf", "ruleId": "q9XyZw",
            "channel": "support:42::$chat", "site": "eu-west-1-A", "messages": [message]});
        let body = body.to_string();
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let queue = queue.as_str().into();
        channel.basic_publish("".into(), queue, options, body.as_bytes(), properties).await?;
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}
