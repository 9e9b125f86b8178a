//! `ably-chat-archive serve` over an engine with chats in it, and what answers its callers.

use std::process::Stdio;

use ably_chat_exporter::store::{KeepVersions, Settings};
use serde_json::Value;
use testkit::{Ably, Engine};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::common::history::Message;
use crate::common::{ingest, send};

/// A key that may read everything.
pub(crate) const KEY: &str = "app.key:s3cret";

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) engine: Engine,
    pub(crate) client: reqwest::Client,
    child: Child,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The query of the link `next`, taken apart as ably-js does.
    pub(crate) fn next(&self) -> Option<String> {
        let link = self.header("link").split(',').find(|part| part.contains("rel=\"next\""))?;
        let url = link.trim().strip_prefix("<./").expect("relative").split_once('>').expect(">").0;
        let (word, query) = url.split_once('?').expect("a query");
        assert!(["messages", "versions"].contains(&word) && !query.is_empty(), "{link}");
        Some(query.to_owned())
    }

    /// Status and code of an error, which body and headers agree on.
    pub(crate) fn error(&self) -> (u16, u64) {
        let body = self.json();
        let error = &body["error"];
        assert_eq!(
            self.header("x-ably-errorcode"),
            error["code"].to_string(),
            "{body} {}",
            self.status
        );
        assert_eq!(error["statusCode"], self.status);
        assert_eq!(self.header("content-type"), "application/json");
        (self.status, error["code"].as_u64().expect("a code"))
    }
}

impl Server {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::over(Engine::start().await, settings).await
    }

    pub(crate) async fn merged(ably: &Ably, settings: &[(&str, &str)]) -> Self {
        let more = [
            ("HISTORY_SOURCE", "merged"),
            ("HISTORY_KEYS", Ably::KEY),
            ("ABLY_REST_URL", ably.endpoint.as_str()),
        ];
        Self::start(&[&more, settings].concat()).await
    }

    pub(crate) async fn over(engine: Engine, settings: &[(&str, &str)]) -> Self {
        // Whoever installed one first has chosen for the process.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ably-chat-archive"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .envs(engine.env())
            .env("HISTORY_KEYS", KEY)
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary is built");
        let stdout = child.stdout.take().expect("it is piped");
        let line = BufReader::new(stdout).lines().next_line().await.expect("a line");
        let line: Value = serde_json::from_str(&line.expect("it listens")).expect("JSON");
        let url = line["url"].as_str().expect("a URL").to_owned();
        Self { url, engine, client: reqwest::Client::new(), child }
    }

    /// The most memory that it has had, in kB.
    pub(crate) fn peak_memory_kb(&self) -> u64 {
        let id = self.child.id().expect("it is running");
        testkit::peak_memory_kb(id).expect("Linux tells")
    }

    /// Delivers every version of messages of a room, and their reactions.
    pub(crate) async fn store(&self, room: &str, messages: &[Message]) {
        self.store_as(KeepVersions::Both, room, messages).await;
    }

    pub(crate) async fn store_as(&self, versions: KeepVersions, room: &str, messages: &[Message]) {
        let sink = ingest(&self.engine, Settings { versions, ..Settings::default() });
        for message in messages {
            for version in 0..message.versions.len() {
                let body = message.delivered(room, version).to_string();
                assert_eq!(send(&sink, "test", body.as_bytes()).await.failed, []);
            }
            if message.reactions > 0 {
                let body = message.delivered_reactions(room, message.reactions).to_string();
                assert_eq!(send(&sink, "test", body.as_bytes()).await.failed, []);
            }
        }
    }

    /// Asks as whoever has the key.
    pub(crate) async fn get(&self, path_and_query: &str) -> Reply {
        self.get_as(KEY, path_and_query).await
    }

    pub(crate) async fn get_as(&self, key: &str, path_and_query: &str) -> Reply {
        let (name, secret) = key.split_once(':').expect("a key");
        let request = self.client.get(format!("{}{path_and_query}", self.url));
        reply(request.basic_auth(name, Some(secret))).await
    }

    /// A room's messages, page by page, as Ably's SDKs walk them.
    pub(crate) async fn walk(&self, key: &str, room: &str, query: &str) -> Vec<Value> {
        let path = format!("/chat/v4/rooms/{}/messages", encoded(room));
        let (mut messages, mut query) = (Vec::new(), query.to_owned());
        loop {
            let page = self.get_as(key, &format!("{path}?{query}")).await;
            assert_eq!(page.status, 200, "{}", String::from_utf8_lossy(&page.body));
            messages.extend(page.json().as_array().expect("a list").iter().cloned());
            match page.next() {
                Some(next) => query = next,
                None => return messages,
            }
        }
    }
}

pub(crate) async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, body: response.bytes().await.expect("a body").to_vec() }
}

/// As `encodeURIComponent` has it, and more.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
