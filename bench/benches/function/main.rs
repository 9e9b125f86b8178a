//! The whole function through the Runtime API, against a DynamoDB that takes a fixed time: beside
//! it in the same run, turn by turn, a bare function without logic (`floor`). Figures differ from
//! machine to machine; the ratios are what counts.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod deliveries;
mod report;
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

/// Records of one Kinesis batch: the most that Lambda's console offers without asking twice.
const RECORDS: usize = 1_000;
const RECORD_BATCHES: usize = 5;
const SUBJECTS: usize = 4;

/// A function under measurement.
struct Subject {
    name: &'static str,
    binary: PathBuf,
    settings: &'static [(&'static str, &'static str)],
}

/// One figure of each round.
type Rounds = Vec<f64>;

/// Figures over the rounds of one subject.
#[derive(Default)]
struct Figures {
    start_ms: Rounds,
    first_ms: Rounds,
    single_p50_ms: Rounds,
    single_p99_ms: Rounds,
    bare_p50_ms: Rounds,
    bare_cpu_ms: Rounds,
    creates: Batches,
    /// After the creates.
    creates_memory_mb: Rounds,
    edits: Batches,
    /// Of creates, in one invocation of Kinesis.
    records: Batches,
    /// After all of that.
    memory_mb: Rounds,
    /// Write units a row of a batch that comes again, unknown and known.
    again_units: Rounds,
    known_units: Rounds,
}

/// Figures of batches of one kind.
#[derive(Default)]
struct Batches {
    write_ms: Rounds,
    write_cpu_ms: Rounds,
    writes_per_message: Rounds,
    requests_per_message: Rounds,
}

#[tokio::main]
async fn main() -> Result<()> {
    // Cargo adds an argument of its own, `--bench`.
    let folder = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let folder = PathBuf::from(folder.ok_or("usage: cargo bench -- FOLDER_OF_BINARIES")?);
    let exporter =
        |name, settings| Subject { name, binary: folder.join("ably-chat-exporter"), settings };
    let subjects: [Subject; SUBJECTS] = [
        Subject { name: "floor", binary: folder.join("floor"), settings: &[] },
        exporter("one write", &[("VERSIONS", "latest")]),
        exporter("both", &[("VERSIONS", "both")]),
        exporter("both, puts", &[("VERSIONS", "both"), ("BULK_INSERTS", "off")]),
    ];
    println!(
        "floor: a bare function, one put a message; one write: the exporter with VERSIONS=latest;"
    );
    println!("both: the exporter as it comes, two rows a message; both, puts: the same with");
    println!("BULK_INSERTS=off. Medians of {ROUNDS} rounds.");
    let stub = Stub::http().await?;
    measure("HTTP", &stub, &subjects).await?;
    deliveries::measure(&stub, &subjects[2]).await?;
    measure("HTTPS", &Stub::https(&folder.join("bench-root.pem")).await?, &subjects).await
}

async fn measure(scheme: &str, stub: &Stub, subjects: &[Subject; SUBJECTS]) -> Result<()> {
    let mut figures: [Figures; SUBJECTS] = Default::default();
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
    report::print(scheme, subjects, &figures);
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

    let at = At { api: &api, pid, stub };
    at.batches(BATCHES, BATCH, |number| payload(BATCH, number), &mut figures.creates).await?;
    figures.creates_memory_mb.push(peak_mb(pid)?);
    at.batches(BATCHES, BATCH, edits, &mut figures.edits).await?;
    if subject.name != "floor" {
        let batches = &mut figures.records;
        at.batches(RECORD_BATCHES, RECORDS, deliveries::kinesis_records, batches).await?;
    }
    figures.memory_mb.push(peak_mb(pid)?);
    if subject.name != "floor" {
        stub.set_full(true);
        for (count, units) in [("1", &mut figures.again_units), ("2", &mut figures.known_units)] {
            stub.take_rows();
            invoke(&api, deliveries::sqs(0, count)).await?;
            units.push(stub.take_rows() as f64 / rows(figures.creates.writes_per_message[0]));
        }
        stub.set_full(false);
    }
    function.kill().await;
    Ok(())
}

/// Rows of a batch of messages.
fn rows(per_message: f64) -> f64 {
    per_message * BATCH as f64
}

/// A running function.
struct At<'a> {
    api: &'a RuntimeApi,
    pid: u32,
    stub: &'a Stub,
}

impl At<'_> {
    /// Sends events of this number of messages, one after the other, after one that opens
    /// connections.
    async fn batches(
        &self,
        events: usize,
        messages: usize,
        event: impl Fn(usize) -> Vec<u8>,
        batches: &mut Batches,
    ) -> Result<()> {
        invoke(self.api, event(0)).await?;
        self.stub.take_requests();
        self.stub.take_rows();
        let events: Vec<_> = (0..events).map(event).collect();
        let (cpu, count) = (cpu_ms(self.pid)?, events.len());
        let mut times = Vec::new();
        for event in events {
            times.push(invoke(self.api, event).await?);
        }
        let cpu = cpu_ms(self.pid)? - cpu;
        let (requests, writes) = (self.stub.take_requests() as f64, self.stub.take_rows() as f64);
        let messages = (messages * count) as f64;
        batches.write_ms.push(median(&times) / (writes / count as f64));
        batches.write_cpu_ms.push(cpu / writes);
        batches.writes_per_message.push(writes / messages);
        batches.requests_per_message.push(requests / messages);
        Ok(())
    }
}

fn peak_mb(pid: u32) -> Result<f64> {
    Ok(testkit::peak_memory_kb(pid).ok_or("ended")? as f64 / 1_024.0)
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

/// As many edits as a batch has messages.
fn edits(number: usize) -> Vec<u8> {
    let edits = (0..BATCH).map(|index| {
        let mut edit = message(index, number);
        edit["action"] = json!(1);
        edit["version"]["serial"] = json!(format!("{:014}-000@aBcDeFgHi12345678:000", 99_999));
        edit
    });
    envelope(&edits.collect::<Vec<_>>())
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
