//! The read API beside a bare function that makes one Query of the same messages, turn by turn in
//! one run; and what publishing through it adds to Ably's own time. Figures differ from machine to
//! machine; the ratios are what counts.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use testkit::{Ably, Answer, Engine, FunctionProcess, RuntimeApi};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TIMEOUT: Duration = Duration::from_secs(60);
const MESSAGES: u32 = 3_000;
const STARTS: usize = 15;
const ROUNDS: usize = 5;
const PAGES: usize = 40;
const PUBLISHES: usize = 400;

/// One figure of each round.
type Rounds = Vec<f64>;

#[derive(Default)]
struct Figures {
    start_ms: Rounds,
    /// Of pages of 100 and of 1,000.
    wall_ms: [Rounds; 2],
    cpu_ms: [Rounds; 2],
    memory_mb: Rounds,
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let folder = PathBuf::from(folder.ok_or("usage: cargo bench -- FOLDER_OF_BINARIES")?);
    let engine = Engine::start().await;
    fill(&engine).await?;
    let subjects = ["floor-history", "ably-chat-history"].map(|name| folder.join(name));
    let mut figures: [Figures; 2] = Default::default();
    for _ in 0..STARTS {
        for (binary, figures) in subjects.iter().zip(&mut figures) {
            start(binary, &engine, figures).await?;
        }
    }
    for _ in 0..ROUNDS {
        for (binary, figures) in subjects.iter().zip(&mut figures) {
            round(binary, &engine, figures).await?;
        }
    }
    report(&mut figures);
    publish(&folder.join("ably-chat-archive"), &engine).await
}

fn report([floor, history]: &mut [Figures; 2]) {
    println!("a room of {MESSAGES} messages in dynoxide; medians of {ROUNDS} rounds");
    println!("{:>44}{:>14}{:>8}{:>8}", "bare Query", "read API", "ratio", "target");
    let row = |name: &str, bare: &mut Rounds, ours: &mut Rounds, target: &str| {
        let (bare, ours) = (median(bare), median(ours));
        println!("  {name:<32}{bare:>10.2}{ours:>14.2}{:>8.2}{target:>8}", ours / bare);
    };
    row("start-up and first page, ms", &mut floor.start_ms, &mut history.start_ms, "");
    for (index, (page, target)) in [("100", "1.30"), ("1000", "1.20")].into_iter().enumerate() {
        let name = format!("page of {page}, wall ms");
        row(&name, &mut floor.wall_ms[index], &mut history.wall_ms[index], target);
        let name = format!("page of {page}, CPU ms");
        row(&name, &mut floor.cpu_ms[index], &mut history.cpu_ms[index], target);
    }
    row("peak memory, MB", &mut floor.memory_mb, &mut history.memory_mb, "");
}

/// Puts a room's rows as `VERSIONS=both` has them.
async fn fill(engine: &Engine) -> Result<()> {
    let client = engine.client();
    let rows: Vec<_> = (0..MESSAGES).flat_map(rows).collect();
    for rows in rows.chunks(25) {
        let request = client.batch_write_item().request_items(Engine::TABLE, rows.to_vec());
        request.send().await?;
    }
    Ok(())
}

fn rows(number: u32) -> [WriteRequest; 2] {
    let at = 1_767_225_600_000_i64 + i64::from(number);
    let serial = format!("{at:014}-000@aBcDeFgHi12345678:000");
    let text = |text: &str| AttributeValue::S(text.into());
    let version = std::collections::HashMap::from([
        ("serial".to_owned(), text(&serial)),
        ("timestamp".to_owned(), AttributeValue::N(at.to_string())),
    ]);
    let keys = [format!("message#{serial}"), format!("version#{serial}#{serial}")];
    keys.map(|key| {
        let put = PutRequest::builder()
            .item("pk", text("a"))
            .item("sk", text(&key))
            .item("serial", text(&serial))
            .item("clientId", text("ana"))
            .item("text", text("Hello, my order has not arrived. Could you look where it is?"))
            .item("metadata", AttributeValue::M([("orderId".to_owned(), text("4711"))].into()))
            .item("headers", AttributeValue::M([("lang".to_owned(), text("en"))].into()))
            .item("action", text("message.create"))
            .item("timestamp", AttributeValue::N(at.to_string()))
            .item("version", AttributeValue::M(version.clone()));
        let put = put.build().expect("an item is set");
        WriteRequest::builder().put_request(put).build()
    })
}

async fn start(binary: &Path, engine: &Engine, figures: &mut Figures) -> Result<()> {
    let api = RuntimeApi::start().await;
    let started = Instant::now();
    let function = spawn(binary, engine, &api);
    page(&api, 100).await?;
    figures.start_ms.push(ms(started.elapsed()));
    function.kill().await;
    Ok(())
}

async fn round(binary: &Path, engine: &Engine, figures: &mut Figures) -> Result<()> {
    let api = RuntimeApi::start().await;
    let function = spawn(binary, engine, &api);
    let pid = function.id().ok_or("the function has ended")?;
    page(&api, 100).await?;
    for (index, limit) in [100, 1_000].into_iter().enumerate() {
        let (before, mut times) = (cpu_ms(pid)?, Vec::new());
        for _ in 0..PAGES {
            times.push(page(&api, limit).await?);
        }
        figures.cpu_ms[index].push((cpu_ms(pid)? - before) / PAGES as f64);
        figures.wall_ms[index].push(median(&mut times));
    }
    let memory = testkit::peak_memory_kb(pid).ok_or("the function has ended")?;
    figures.memory_mb.push(memory as f64 / 1_024.0);
    function.kill().await;
    Ok(())
}

fn spawn(binary: &Path, engine: &Engine, api: &RuntimeApi) -> FunctionProcess {
    let keys = [("HISTORY_KEYS".to_owned(), Ably::KEY.to_owned())];
    let quiet = [("LOG_LEVEL".to_owned(), "WARN".to_owned())];
    let env: Vec<_> = engine.env().into_iter().chain(keys).chain(quiet).collect();
    FunctionProcess::spawn_pinned(binary, api, &env)
}

/// Asks for a page as a function URL does; how long it took, in ms.
async fn page(api: &RuntimeApi, limit: usize) -> Result<f64> {
    let path = "/chat/v4/rooms/a/messages";
    let basic = format!("Basic {}", BASE64_STANDARD.encode(Ably::KEY));
    let event = json!({
        "version": "2.0", "rawPath": path, "rawQueryString": format!("limit={limit}"),
        "headers": {"authorization": basic, "accept": "application/json", "host": "a.example"},
        "requestContext": {"apiId": "a", "domainName": "a.example", "domainPrefix": "a",
            "requestId": "r", "routeKey": "$default", "stage": "$default",
            "time": "22/Nov/2026:10:00:00 +0000", "timeEpoch": 1_763_805_600_000_i64,
            "accountId": "anonymous",
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1",
                     "sourceIp": "192.0.2.1", "userAgent": "bench"}},
        "routeKey": "$default", "isBase64Encoded": false,
    });
    let started = Instant::now();
    let answer = api.invoke(event.to_string(), TIMEOUT).await;
    let took = ms(started.elapsed());
    let Answer::Response(response) = answer else { return Err(format!("{answer:?}").into()) };
    let body = response["body"].as_str().ok_or("a body")?;
    let messages: Vec<Value> = serde_json::from_str(body)?;
    if messages.len() != limit {
        return Err(format!("{} messages of {limit}: {response}", messages.len()).into());
    }
    Ok(took)
}

/// Publishes to Ably's stand-in, and through the archive.
async fn publish(binary: &Path, engine: &Engine) -> Result<()> {
    let ably = Ably::start().await;
    let (_server, url) = serve(binary, engine, &ably).await?;
    // Whoever installed one first has chosen for the process.
    tokio_rustls::rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::new();
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..PUBLISHES {
        for (url, times) in [(&ably.endpoint, &mut direct), (&url, &mut through)] {
            let started = Instant::now();
            send(&client, url).await?;
            times.push(ms(started.elapsed()));
        }
    }
    let (direct, through) = (median(&mut direct), median(&mut through));
    println!("publish, p50: {direct:.2} ms to the stand-in, {through:.2} ms through the archive");
    println!("  of it {:.2} ms on top, the table's write included; target 1 ms", through - direct);
    Ok(())
}

async fn serve(binary: &Path, engine: &Engine, ably: &Ably) -> Result<(Child, String)> {
    let app = Ably::KEY.split('.').next().ok_or("an app")?;
    let mut child = Command::new(binary)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .envs(engine.env())
        .env("HISTORY_KEYS", Ably::KEY)
        .env("ABLY_APP_ID", app)
        .env("ABLY_REST_URL", &ably.endpoint)
        .env("PUBLISH", "on")
        .env("ROOM_INDEX", "off")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("it is piped")?;
    let line = BufReader::new(stdout).lines().next_line().await?.ok_or("it listens")?;
    let line: Value = serde_json::from_str(&line)?;
    Ok((child, line["url"].as_str().ok_or("a URL")?.to_owned()))
}

async fn send(client: &reqwest::Client, url: &str) -> Result<()> {
    let (name, secret) = Ably::KEY.split_once(':').ok_or("a key")?;
    let request = client.post(format!("{url}/chat/v4/rooms/b/messages"));
    let request = request.basic_auth(name, Some(secret)).header("x-ably-version", "4");
    let request = request.header("content-type", "application/json").body(r#"{"text":"hi"}"#);
    request.send().await?.error_for_status()?.bytes().await?;
    Ok(())
}

/// Processor time that a process of one thread has used, in ms.
fn cpu_ms(pid: u32) -> Result<f64> {
    let times = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds: f64 = times.split(' ').next().ok_or("no time in schedstat")?.parse()?;
    Ok(nanoseconds / 1e6)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
