//! Ably's own SDKs read the archive, in Node and in a browser: `tests/clients`, in JavaScript,
//! holds what they show against what was stored here.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ably_chat_exporter::ingest::Record;
use ably_chat_exporter::store::{KeepVersions, Settings};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::common::{EPOCH, ingest, serial};
use crate::server::{KEY, Server};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// The room that is walked from end to end.
const ROOM: &str = "support:42";
const MESSAGES: u32 = 2_500;
/// A key that may read rooms of one kind.
const SOME: &str = "app.some:an0ther";
/// What a careless path would mix up, or cut short.
const NAMES: [&str; 9] =
    ["a/b", "a?b", "a%2Fb", "a#b", "a+b", "a b", "été 🙂", "a,b;rel=\"next\"", "a::$chat"];

/// A message: its versions in the Chat form, oldest first, and its reactions.
struct Message {
    versions: Vec<Value>,
    reactions: Value,
}

#[tokio::test]
async fn ablys_own_sdks_read_the_archive() {
    let keys = json!([{"key": KEY}, {"key": SOME, "capability": {"support:*": ["history"]}}]);
    let server = Server::start(&[("HISTORY_KEYS", &keys.to_string())]).await;
    let messages: Vec<Message> = (0..MESSAGES).map(message).collect();
    store(&server, ROOM, &messages).await;
    let named: Vec<Message> = (0..).zip(NAMES).map(|(number, _)| message(number)).collect();
    for (room, message) in NAMES.iter().zip(&named) {
        store(&server, room, std::slice::from_ref(message)).await;
    }
    let truth = json!({
        "url": server.url,
        "keys": {"all": KEY, "some": SOME},
        "room": ROOM,
        "messages": messages.iter().map(truth).collect::<Vec<_>>(),
        "named": NAMES.iter().zip(&named)
            .map(|(room, message)| json!({"room": room, "message": truth(message)}))
            .collect::<Vec<_>>(),
    });
    let name = format!("clients-{}.json", std::process::id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, truth.to_string()).expect("the truth is written");
    install().await;
    let mut node = command("node");
    node.arg("--test").env("CLIENTS_TRUTH", &file);
    run(node, Duration::from_secs(150)).await;
    std::fs::remove_file(file).expect("it was written");
}

/// The nth message: by its number it was edited, deleted or reacted to, and has what a message may
/// have.
fn message(number: u32) -> Message {
    let (updates, is_deleted) = (number % 3, number % 11 == 5);
    let last = updates + u32::from(is_deleted);
    let author = format!("client {}", number % 5);
    let version = |nth: u32| {
        let is_delete = is_deleted && nth == last;
        let action = match nth {
            0 => "message.create",
            _ if is_delete => "message.delete",
            _ => "message.update",
        };
        let at = EPOCH + i64::from(number) * 1_000;
        let mut version = json!({
            "serial": serial(number, 0).0, "clientId": author, "action": action, "timestamp": at,
            "text": format!("text {number}.{nth}, “é” \u{1f642} \\ \" \u{2028} <b>"),
            "metadata": {"n": number, "deep": [{"v": nth, "half": 0.5, "not": null}], "is": true},
            "headers": {"nth": nth.to_string(), "x-é": ""},
            "version": {"serial": serial(number, nth).0, "timestamp": at + i64::from(nth)},
        });
        if number % 7 == 3 {
            (version["metadata"], version["headers"]) = (json!({}), json!({}));
        }
        if is_delete {
            let blank = [("text", json!("")), ("metadata", json!({})), ("headers", json!({}))];
            blank.into_iter().for_each(|(name, blank)| version[name] = blank);
        }
        if nth > 0 {
            version["version"]["clientId"] = json!("a moderator");
        }
        if nth > 0 && number.is_multiple_of(2) {
            version["version"]["description"] = json!("because");
            version["version"]["metadata"] = json!({"ticket": number.to_string()});
        }
        version
    };
    Message { versions: (0..=last).map(version).collect(), reactions: reactions(number) }
}

fn reactions(number: u32) -> Value {
    let list = |total: u32| {
        let ids: Vec<String> = (0..total).map(|id| format!("client {id}")).collect();
        json!({"total": total, "clientIds": ids, "clipped": false})
    };
    let none = json!({"unique": {}, "distinct": {}, "multiple": {}});
    match number % 4 {
        0 => json!({
            "unique": {"like": list(1)},
            "distinct": {"👍": list(number % 9 + 1), "❤️": list(2)},
            "multiple": {"👏": {
                "total": 9, "clientIds": {"client 0": 4, "client 1": 3}, "totalUnidentified": 2,
                "totalClientIds": 2, "clipped": false,
            }},
        }),
        1 => json!({"unique": {}, "distinct": {"👍": list(3)}, "multiple": {}}),
        _ => none,
    }
}

/// What the SDKs are to find of it.
fn truth(message: &Message) -> Value {
    json!({"versions": message.versions, "reactions": message.reactions})
}

/// Delivers all versions and then the reactions, some hundred in an envelope.
async fn store(server: &Server, room: &str, messages: &[Message]) {
    let settings = Settings { versions: KeepVersions::Both, ..Settings::default() };
    let sink = ingest(&server.engine, settings);
    let versions = messages.iter().flat_map(|message| message.versions.iter().map(delivered));
    let summaries = messages.iter().filter_map(summary);
    let events: Vec<Value> = versions.chain(summaries).collect();
    for events in events.chunks(1_000) {
        let envelope = |messages: &[Value]| {
            json!({"source": "channel.message", "appId": "app", "channel": format!("{room}::$chat"),
                   "messages": messages})
            .to_string()
        };
        let bodies: Vec<String> = events.chunks(100).map(envelope).collect();
        let bodies = bodies.iter().map(String::as_bytes);
        let records: Vec<Record<'_>> = bodies
            .map(|body| Record { id: "a", body, received_at: EPOCH, is_redelivery: false })
            .collect();
        let deadline = Instant::now() + Duration::from_secs(60);
        for report in sink.store_records(&records, deadline).await {
            assert_eq!(report.failed, []);
        }
    }
}

/// A version as Ably delivers it live.
fn delivered(version: &Value) -> Value {
    let action = match version["action"].as_str() {
        Some("message.create") => 0,
        Some("message.update") => 1,
        _ => 2,
    };
    let data = json!({"text": version["text"], "metadata": version["metadata"]});
    json!({
        "name": "chat.message", "clientId": version["clientId"], "serial": version["serial"],
        "timestamp": version["timestamp"], "action": action, "data": data.to_string(),
        "encoding": "json", "version": version["version"],
        "extras": {"headers": version["headers"]},
    })
}

/// The reactions as Ably delivers them live, if there are any.
fn summary(message: &Message) -> Option<Value> {
    let reactions = &message.reactions;
    let kinds = [
        ("reaction:unique.v1", &reactions["unique"]),
        ("reaction:distinct.v1", &reactions["distinct"]),
        ("reaction:multiple.v1", &reactions["multiple"]),
    ];
    let kinds = kinds.into_iter().filter(|(_, names)| **names != json!({}));
    let summary: serde_json::Map<String, Value> =
        kinds.map(|(kind, names)| (kind.to_owned(), names.clone())).collect();
    let latest = message.versions.last().expect("a version");
    (!summary.is_empty()).then(|| {
        json!({
            "name": "chat.message", "serial": latest["serial"], "timestamp": latest["timestamp"],
            "action": 4, "version": latest["version"], "annotations": {"summary": summary},
        })
    })
}

/// Installs the SDKs as they are locked, if these are not the ones that are there.
async fn install() {
    let lock = std::fs::read_to_string(file("package-lock.json")).expect("a lock file");
    let mark = file("node_modules/.installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == lock) {
        return;
    }
    let mut npm = command("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    run(npm, Duration::from_secs(240)).await;
    std::fs::write(mark, lock).expect("npm has made the folder");
}

fn file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(FOLDER).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it to its end, and shows what it said.
async fn run(mut command: Command, patience: Duration) {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = match timeout(patience, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => panic!("{name}: {error}. `make setup` installs it"),
        Err(_) => panic!("{name} has not ended within {patience:?}"),
    };
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    eprintln!("{out}\n{err}");
    assert!(output.status.success(), "{name}: {}", output.status);
}
