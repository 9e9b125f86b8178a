//! `ably-chat-archive` as its users run it, and chats for it.

use std::process::Stdio;

use serde_json::Value;
use testkit::{Ably, Engine};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::common::history::Message;
use crate::common::{ingest, send};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ably-chat-archive");

/// What a run of the binary came to.
pub(crate) struct Ended {
    pub(crate) status: i32,
    /// What it printed, line by line.
    pub(crate) lines: Vec<Value>,
    pub(crate) errors: String,
}

impl Ended {
    pub(crate) fn events(&self, event: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["event"] == event).collect()
    }

    pub(crate) fn summary(&self) -> &Value {
        self.events("summary").pop().unwrap_or_else(|| panic!("a summary; {}", self.errors))
    }
}

pub(crate) fn start(args: &[&str], engine: &Engine, ably: &Ably, more: &[(&str, &str)]) -> Child {
    Command::new(BINARY)
        .args(args)
        .env_clear()
        .envs(engine.env())
        .envs(ably.env())
        .envs(more.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary is built")
}

/// Runs a program that needs neither table nor Ably, without an environment: status, standard
/// output, standard error.
pub(crate) fn ask(program: &str, args: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(program).args(args).env_clear().output();
    let output = output.expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

pub(crate) async fn end(mut child: Child) -> Ended {
    let (mut stdout, mut stderr) =
        (child.stdout.take().expect("it is piped"), child.stderr.take().expect("it is piped"));
    let (mut out, mut errors) = (String::new(), String::new());
    let (read, failed) =
        tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut errors));
    read.and(failed).expect("pipes can be read");
    let status = child.wait().await.expect("it ends").code().unwrap_or(-1);
    let lines = out.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"));
    for text in [&out, &errors] {
        assert!(!text.contains("a-secret-for-tests") && !text.contains("YTNkRWY"), "{text}");
    }
    Ended { status, lines: lines.collect(), errors }
}

/// Sends a signal, `-INT` for example.
pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    std::process::Command::new("kill").args([name, &pid]).status().expect("a signal");
}

pub(crate) async fn run(args: &[&str], engine: &Engine, ably: &Ably) -> Ended {
    end(start(&[args, &["--pace", "10000"]].concat(), engine, ably, &[])).await
}

pub(crate) async fn verify(rooms: &[&str], engine: &Engine, ably: &Ably) -> Ended {
    let rooms: Vec<&str> = rooms.iter().flat_map(|room| ["--room", *room]).collect();
    end(start(&[&["verify"], &rooms[..]].concat(), engine, ably, &[])).await
}

/// Messages of every kind: plain, edited, deleted, with reactions.
pub(crate) fn messages(count: u32) -> Vec<Message> {
    let message = |number: u32| {
        let updates = if number.is_multiple_of(5) { number % 3 + 1 } else { 0 };
        let reactions = if number.is_multiple_of(7) { u64::from(number % 4) } else { 0 };
        Message::new(number, updates, number.is_multiple_of(11), reactions)
    };
    (1..=count).map(message).collect()
}

pub(crate) async fn deliver(engine: &Engine, bodies: impl IntoIterator<Item = Value>) {
    let ingest = ingest(engine, Default::default());
    for (number, body) in bodies.into_iter().enumerate() {
        let report = send(&ingest, &format!("d{number}"), body.to_string().as_bytes()).await;
        assert!(report.failed.is_empty(), "{report:?}");
    }
}

pub(crate) async fn live(engine: &Engine, room: &str, messages: &[Message]) {
    let bodies = messages.iter().flat_map(|message| {
        let versions = (0..message.versions.len()).map(|version| message.delivered(room, version));
        let reactions =
            (message.reactions > 0).then(|| message.delivered_reactions(room, message.reactions));
        versions.chain(reactions).collect::<Vec<_>>()
    });
    deliver(engine, bodies).await;
}

pub(crate) fn store(engine: &Engine) -> ably_chat_exporter::store::Store {
    ingest(engine, Default::default()).store
}

pub(crate) const BACKFILL: [&str; 4] = ["backfill", "--room", "r", "--execute"];
pub(crate) const RECONCILE: [&str; 3] = ["reconcile", "--room", "r"];
pub(crate) const REPAIR: [&str; 4] = ["reconcile", "--room", "r", "--repair"];

pub(crate) async fn with(
    args: &[&str],
    engine: &Engine,
    ably: &Ably,
    more: &[(&str, &str)],
) -> Ended {
    end(start(&[args, &["--pace", "10000"]].concat(), engine, ably, more)).await
}

pub(crate) fn version_of(message: &Message, version: usize) -> String {
    message.versions[version]["version"]["serial"].as_str().expect("a serial").to_owned()
}
