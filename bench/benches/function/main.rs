//! The whole function through the Runtime API, against a DynamoDB that takes a fixed time: beside
//! it in the same run, turn by turn, a bare function without logic (`floor`). Figures differ from
//! machine to machine; the ratios are what counts.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod deliveries;
mod stub;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stub::Stub;
use testkit::{Answer, FunctionProcess, RuntimeApi};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What DynamoDB takes for a put, about.
const LATENCY: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(60);
const STARTS: usize = 41;
const ROUNDS: usize = 7;
const SINGLES: usize = 200;
const BATCHES: usize = 20;
const BATCH: usize = 100;

/// A function under measurement.
struct Subject {
    binary: PathBuf,
    settings: &'static [(&'static str, &'static str)],
}

/// Medians over the rounds of one subject.
#[derive(Default)]
struct Figures {
    start_ms: Vec<f64>,
    first_ms: Vec<f64>,
    single_p50_ms: Vec<f64>,
    single_p99_ms: Vec<f64>,
    bare_p50_ms: Vec<f64>,
    bare_cpu_ms: Vec<f64>,
    batch_write_ms: Vec<f64>,
    batch_write_cpu_ms: Vec<f64>,
    memory_mb: Vec<f64>,
    requests_per_message: Vec<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    // Cargo adds an argument of its own, `--bench`.
    let folder = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let folder = PathBuf::from(folder.ok_or("usage: cargo bench -- FOLDER_OF_BINARIES")?);
    let exporter = folder.join("ably-chat-exporter");
    let subjects = [
        Subject { binary: folder.join("floor"), settings: &[] },
        Subject { binary: exporter.clone(), settings: &[("VERSIONS", "latest")] },
        Subject { binary: exporter, settings: &[("VERSIONS", "both")] },
    ];
    println!(
        "floor: a bare function, one put a message; one write: the exporter with VERSIONS=latest;"
    );
    println!("both: the exporter as it comes, two puts a message. Medians of {ROUNDS} rounds.");
    let stub = Stub::http().await?;
    measure("HTTP", &stub, &subjects).await?;
    deliveries::measure(&stub, &subjects[2]).await?;
    measure("HTTPS", &Stub::https(&folder.join("bench-root.pem")).await?, &subjects).await
}

async fn measure(scheme: &str, stub: &Stub, subjects: &[Subject; 3]) -> Result<()> {
    let mut figures: [Figures; 3] = Default::default();
    stub.set_latency(LATENCY);
    for _ in 0..STARTS {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            start(subject, stub, figures).await?;
        }
    }
    for _ in 0..ROUNDS {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            round(subject, stub, figures).await?;
        }
    }
    println!(
        "\nOver {scheme}, {LATENCY:?} a put{:>31}{:>11}{:>11}   one write/floor  both/floor",
        "floor", "one write", "both"
    );
    let row = |name: &str, pick: fn(&Figures) -> &Vec<f64>, target: &str| {
        let [floor, one, both] = [0, 1, 2].map(|index| median(pick(&figures[index])));
        println!(
            "  {name:<46}{floor:>9.3}{one:>11.3}{both:>11.3}{:>18.2}{:>12.2}   {target}",
            one / floor,
            both / floor
        );
    };
    row("start-up, ms", |f| &f.start_ms, "target 1.10");
    row("start-up and first invocation, ms", |f| &f.first_ms, "");
    row("one message, warm, p50 ms", |f| &f.single_p50_ms, "target 1.10");
    row("one message, warm, p99 ms", |f| &f.single_p99_ms, "");
    row("one message against no latency, p50 ms", |f| &f.bare_p50_ms, "");
    row("one message against no latency, CPU ms", |f| &f.bare_cpu_ms, "");
    row("100-message batch, ms per write", |f| &f.batch_write_ms, "target 1.00");
    row("100-message batch, CPU ms per write", |f| &f.batch_write_cpu_ms, "");
    row("peak memory, MB", |f| &f.memory_mb, "target 1.15");
    row("requests per message", |f| &f.requests_per_message, "");
    Ok(())
}

async fn start(subject: &Subject, stub: &Stub, figures: &mut Figures) -> Result<()> {
    let api = RuntimeApi::start().await;
    let started = Instant::now();
    let function = spawn(subject, stub, &api);
    api.wait_for_poll(1).await;
    figures.start_ms.push(ms(started.elapsed()));
    invoke(&api, payload(1, 0)).await?;
    figures.first_ms.push(ms(started.elapsed()));
    function.kill().await;
    Ok(())
}

async fn round(subject: &Subject, stub: &Stub, figures: &mut Figures) -> Result<()> {
    let api = RuntimeApi::start().await;
    let function = spawn(subject, stub, &api);
    let pid = function.id().ok_or("the function has ended")?;
    invoke(&api, payload(1, 0)).await?;

    let mut times = Vec::new();
    for number in 0..SINGLES {
        times.push(invoke(&api, payload(1, number)).await?);
    }
    figures.single_p50_ms.push(median(&times));
    figures.single_p99_ms.push(quantile(&times, 0.99));

    stub.set_latency(Duration::ZERO);
    let cpu = cpu_ms(pid)?;
    let mut times = Vec::new();
    for number in 0..SINGLES {
        times.push(invoke(&api, payload(1, number)).await?);
    }
    figures.bare_p50_ms.push(median(&times));
    figures.bare_cpu_ms.push((cpu_ms(pid)? - cpu) / SINGLES as f64);
    stub.set_latency(LATENCY);

    invoke(&api, payload(BATCH, 0)).await?;
    stub.take_requests();
    let cpu = cpu_ms(pid)?;
    let mut times = Vec::new();
    for number in 0..BATCHES {
        times.push(invoke(&api, payload(BATCH, number)).await?);
    }
    let requests = stub.take_requests() as f64;
    let writes = requests / BATCHES as f64;
    figures.batch_write_ms.push(median(&times) / writes);
    figures.batch_write_cpu_ms.push((cpu_ms(pid)? - cpu) / requests);
    figures.requests_per_message.push(writes / BATCH as f64);
    let peak = testkit::peak_memory_kb(pid).ok_or("ended")?;
    figures.memory_mb.push(peak as f64 / 1_024.0);
    function.kill().await;
    Ok(())
}

/// Starts the function on the first processor, which the rest of the bench leaves alone where
/// `make bench` starts it.
fn spawn(subject: &Subject, stub: &Stub, api: &RuntimeApi) -> FunctionProcess {
    let settings = subject.settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let env: Vec<_> = stub.env.iter().cloned().chain(settings).collect();
    FunctionProcess::spawn_pinned(&subject.binary, api, &env)
}

async fn invoke(api: &RuntimeApi, body: Vec<u8>) -> Result<f64> {
    let started = Instant::now();
    match api.invoke(body, TIMEOUT).await {
        Answer::Response(_) => Ok(ms(started.elapsed())),
        Answer::Error(error) => Err(error.to_string().into()),
    }
}

fn payload(messages: usize, number: usize) -> Vec<u8> {
    envelope(&(0..messages).map(|index| message(index, number)).collect::<Vec<_>>())
}

fn message(index: usize, number: usize) -> Value {
    let serial = format!("{:014}-{number:03}@aBcDeFgHi12345678:000", index + 1);
    json!({"id": "kf93kd:0:0", "name": "chat.message", "clientId": "ana", "action": 0,
           "timestamp": 1_767_225_600_000_i64, "serial": serial,
           "version": {"serial": serial, "timestamp": 1_767_225_600_000_i64},
           "encoding": "json",
           "data": r#"{"text":"Hello, my order has not arrived.","metadata":{"orderId":4711}}"#,
           "extras": {"headers": {"lang": "en"}}})
}

fn envelope(messages: &[Value]) -> Vec<u8> {
    let envelope = json!({"source": "channel.message", "appId": "aB3dEf", "site": "eu-west-1-A",
                          "channel": "support:42::$chat", "ruleId": "q9XyZw",
                          "messages": messages});
    envelope.to_string().into_bytes()
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * q).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Processor time of a process, user and system.
fn cpu_ms(pid: u32) -> Result<f64> {
    let times = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds: f64 = times.split(' ').next().ok_or("no time in schedstat")?.parse()?;
    Ok(nanoseconds / 1e6)
}
