//! The backfill of messages that are stored nowhere, against stand-ins of Ably (20 ms an answer)
//! and of DynamoDB (5 ms), beside what each side alone takes: reading without writing, and as many
//! bare puts.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../function/stub.rs"]
#[expect(dead_code, reason = "the bench of the function asks more of it")]
mod stub;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use stub::Stub;
use testkit::Ably;
use tokio::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ABLY: Duration = Duration::from_millis(20);
const STORE: Duration = Duration::from_millis(5);
/// A page each.
const ROOMS: u32 = 100;
const MESSAGES_IN_ROOM: u32 = 1_000;
/// Puts on their way at once: as many as keep one processor busy.
const AT_ONCE: &str = "144";
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let folder = PathBuf::from(folder.ok_or("usage: cargo bench -- FOLDER_OF_BINARIES")?);
    let (ably, stub) = (Ably::start().await, Stub::http().await?);
    stub.set_latency(STORE);
    let rooms: Vec<String> = (0..ROOMS).map(|room| format!("room {room}")).collect();
    rooms.iter().for_each(|room| fill(&ably, room));
    ably.behave(|it| it.latency = ABLY);
    let file = std::env::temp_dir().join(format!("ably-chat-bench-{}", std::process::id()));
    let quarter = file.with_extension("quarter");
    std::fs::write(&file, rooms.join("\n"))?;
    std::fs::write(&quarter, rooms[..rooms.len() / 4].join("\n"))?;
    let (backfill, floor) = (folder.join("ably-chat-archive"), folder.join("floor-backfill"));
    let run = |file: &Path| {
        let file = file.display().to_string();
        ["backfill", "--pace", "10000", "--rooms-file", &file].map(str::to_owned).to_vec()
    };
    let (read, small) = (run(&file), [run(&quarter), vec!["--execute".into()]].concat());
    let whole = [read.clone(), vec!["--execute".into()]].concat();
    let puts = (2 * ROOMS * MESSAGES_IN_ROOM).to_string();
    let subjects = [
        ("bare puts, two a message", &floor, "on", vec![puts, AT_ONCE.into()]),
        ("dry run: reads and compares", &backfill, "on", read),
        ("backfill", &backfill, "on", whole.clone()),
        ("the same with BULK_INSERTS=off", &backfill, "off", whole),
        ("backfill of a quarter", &backfill, "on", small),
    ];
    let mut figures: [Vec<(f64, f64)>; 5] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, binary, bulk_inserts, arguments), figures) in subjects.iter().zip(&mut figures) {
            figures.push(round(&stub, &ably, binary, bulk_inserts, arguments).await?);
        }
    }
    std::fs::remove_file(&file)?;
    std::fs::remove_file(&quarter)?;
    println!(
        "{} messages in {ROOMS} rooms, Ably {ABLY:?} a page, DynamoDB {STORE:?} a request; \
         medians of {ROUNDS} rounds",
        ROOMS * MESSAGES_IN_ROOM
    );
    println!("{:>44}{:>20}{:>12}", "seconds", "ratio to bare puts", "peak MB");
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut bare = None;
    for ((name, ..), figures) in subjects.iter().zip(&figures) {
        let seconds = median(&mut figures.iter().map(|(seconds, _)| *seconds).collect());
        let memory = median(&mut figures.iter().map(|(_, memory)| *memory).collect());
        let bare = *bare.get_or_insert(seconds);
        println!("  {name:<34}{seconds:>8.2}{:>20.2}{memory:>12.1}", seconds / bare);
    }
    println!("  targets: ratio of the backfill 0.35; memory as with a quarter");
    Ok(())
}

/// Lets the subject run to its end on the first processor; its seconds and its peak memory.
async fn round(
    stub: &Stub,
    ably: &Ably,
    binary: &Path,
    bulk_inserts: &str,
    arguments: &[String],
) -> Result<(f64, f64)> {
    let started = Instant::now();
    let mut subject = Command::new("/usr/bin/taskset")
        .args(["--cpu-list", "0"])
        .arg(binary)
        .args(arguments)
        .env_clear()
        .envs(stub.env.iter().map(|(name, value)| (name, value)))
        .envs(ably.env())
        .env("BULK_INSERTS", bulk_inserts)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let id = subject.id().ok_or("ended")?;
    let mut peak = 0;
    let status = loop {
        if let Ok(ended) = tokio::time::timeout(Duration::from_millis(20), subject.wait()).await {
            break ended?;
        }
        peak = peak.max(testkit::peak_memory_kb(id).unwrap_or(0));
    };
    // What this stand-in is given, it does not have: to the backfill all of it is still missing.
    if !matches!(status.code(), Some(0 | 1)) {
        return Err(format!("{} ended with {status}", binary.display()).into());
    }
    Ok((started.elapsed().as_secs_f64(), peak as f64 / 1_024.0))
}

fn fill(ably: &Ably, room: &str) {
    for number in 1..=MESSAGES_IN_ROOM {
        let at = 1_767_225_600_000_i64 + i64::from(number);
        let serial = format!("{at:014}-000@aBcDeFgHi12345678:000");
        ably.publish(
            room,
            json!({"serial": serial, "clientId": "ana", "timestamp": at,
            "text": "Hello, my order has not arrived.", "metadata": {"orderId": 4711},
            "headers": {"lang": "en"}, "action": "message.create",
            "version": {"serial": serial, "timestamp": at}}),
        );
    }
}
