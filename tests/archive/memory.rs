//! Memory of walks over large messages.

use std::time::Duration;

use serde_json::json;
use testkit::{Ably, Engine};

use crate::common::history::Message;
use crate::program::{end, start};

/// Sixteen rooms of large messages at once: pages share one budget, in bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regression_memory_is_bounded_by_bytes_and_not_by_messages() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let file = std::env::temp_dir().join(format!("ably-chat-large-{}", std::process::id()));
    let rooms: Vec<String> = (0..16).map(|room| format!("room {room}")).collect();
    std::fs::write(&file, rooms.join("\n")).expect("a file");
    for room in &rooms {
        for number in 1..=40 {
            let mut message = Message::new(number, 0, false, 0);
            message.versions[0]["text"] = json!("x".repeat(250_000));
            message.publish(&ably, room);
        }
    }
    let args = ["backfill", "--rooms-file", file.to_str().expect("a path"), "--execute"];
    let args = [&args[..], &["--pace", "10000", "--quiet"]].concat();
    let mut child = start(&args, &engine, &ably, &[("VERSIONS", "latest")]);
    let mut peak = 0;
    while child.try_wait().expect("it can be asked").is_none() {
        let found = child.id().and_then(testkit::peak_memory_kb);
        peak = found.map_or(peak, |found| found.max(peak));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = end(child).await;
    std::fs::remove_file(&file).expect("the file is removed");
    assert_eq!((ended.status, &ended.summary()["repaired"]), (0, &json!(640)), "{}", ended.errors);
    assert!((1..200_000).contains(&peak), "{peak} KB");
}

/// Pages of large messages that have versions: who asks for versions holds a page, and waits for
/// none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regression_memory_for_pages_is_not_waited_for_by_who_holds_it() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let rooms: Vec<String> = (0..12).map(|room| format!("room {room}")).collect();
    for room in &rooms {
        for number in 1..=30 {
            let mut message = Message::new(number, 1, false, 0);
            message.versions[1]["text"] = json!("x".repeat(200_000));
            message.publish(&ably, room);
        }
    }
    let rooms = rooms.iter().flat_map(|room| ["--room", room.as_str()]);
    let args: Vec<&str> = ["backfill", "--pace", "10000"].into_iter().chain(rooms).collect();
    let child = start(&args, &engine, &ably, &[]);
    let ended = tokio::time::timeout(Duration::from_secs(120), end(child)).await;
    let ended = ended.expect("nobody waits for ever");
    assert_eq!((ended.status, &ended.summary()["messages"]), (1, &json!(360)), "{}", ended.errors);
}
