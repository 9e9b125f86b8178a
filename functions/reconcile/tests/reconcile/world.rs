//! A function and everything it asks.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::store::{Settings, Store};
use serde_json::{Value, json};
use testkit::{Ably, Answer, Engine, FunctionProcess, RuntimeApi, Services};
use tokio::time::Instant;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ably-chat-reconcile");
pub(crate) const TIMEOUT: Duration = Duration::from_secs(900);

/// A function and everything it asks.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) ably: Ably,
    pub(crate) services: Services,
    api: RuntimeApi,
    pub(crate) function: FunctionProcess,
    /// Messages of the work queue that were handed out.
    handed_out: usize,
    pub(crate) now: i64,
}

impl World {
    pub(crate) async fn start(more: &[(&str, &str)]) -> Self {
        let (engine, ably, services) =
            (Engine::start().await, Ably::start().await, Services::start().await);
        let api = RuntimeApi::start().await;
        let settings = [("RECONCILE_QUEUE_URL".to_owned(), services.queue_url())];
        let own = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let pace = [("RECONCILE_PACE", "10000"), ("ABLY_APP_ID", "aB3dEf")];
        let pace = pace.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env: Vec<_> = engine
            .env()
            .into_iter()
            .chain(ably.env())
            .chain(services.env())
            .chain(settings)
            .chain(pace)
            .chain(own)
            .collect();
        let function = FunctionProcess::spawn(Path::new(BINARY), &api, &env);
        #[expect(clippy::disallowed_methods, reason = "messages are as old as this machine says")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
        let now = i64::try_from(since_epoch.as_millis()).expect("a time");
        Self { engine, ably, services, api, function, handed_out: 0, now }
    }

    pub(crate) async fn invoke(&self, event: &Value) -> Answer {
        self.api.invoke(event.to_string(), TIMEOUT).await
    }

    /// Says something in a room minutes ago, and notes the room.
    pub(crate) async fn say(&self, room: &str, minutes_ago: i64, text: &str) {
        self.publish(room, minutes_ago, text);
        self.note(room, self.now - minutes_ago * 60_000).await;
    }

    /// Says something in a room minutes ago, of which Ably delivers nothing.
    pub(crate) fn publish(&self, room: &str, minutes_ago: i64, text: &str) {
        let at = self.now - minutes_ago * 60_000;
        let serial = format!("{at:014}-000@aBcDeFgHi12345678:000");
        self.ably.publish(
            room,
            json!({"serial": serial, "clientId": "ana", "text": text,
            "metadata": {}, "headers": {}, "timestamp": at, "action": "message.create",
            "version": {"serial": serial, "timestamp": at}}),
        );
    }

    /// Notes a room, as the exporter does.
    pub(crate) async fn note(&self, room: &str, at: i64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let seen = self.store().note_room(&RoomName(room.into()), at, deadline).await;
        seen.expect("the room is noted");
    }

    /// What is in the work queue, and was.
    pub(crate) fn queued(&self) -> Vec<Value> {
        let messages = self.services.messages();
        messages.iter().map(|it| serde_json::from_str(it).expect("JSON")).collect()
    }

    /// The names of the rooms that were queued since the last time.
    pub(crate) fn rooms_queued(&mut self) -> BTreeSet<String> {
        let queued = self.queued();
        let new = queued.get(self.handed_out..).unwrap_or_default();
        self.handed_out = queued.len();
        new.iter().map(|work| work["room"].as_str().expect("a room").to_owned()).collect()
    }

    /// Hands the function work that nobody has queued.
    pub(crate) async fn hand_out(&self, work: &Value, timeout: Duration) -> Answer {
        let event = json!({"Records": [
            {"messageId": "m", "eventSource": "aws:sqs", "body": work.to_string()}]});
        self.api.invoke(event.to_string(), timeout).await
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.engine.client(), Engine::TABLE, Settings::default())
    }

    /// Hands out what is in the work queue, until nothing is; how many.
    pub(crate) async fn work(&mut self, timeout: Duration) -> usize {
        let before = self.handed_out;
        while let Some(body) = self.services.messages().get(self.handed_out).cloned() {
            self.handed_out += 1;
            let id = format!("m{}", self.handed_out);
            let record = json!({"messageId": id, "eventSource": "aws:sqs", "body": body});
            let event = json!({"Records": [record]});
            let answer = self.api.invoke(event.to_string(), timeout).await;
            assert_eq!(answer, Answer::Response(json!({"batchItemFailures": []})), "{body}");
        }
        self.handed_out - before
    }

    /// How many rows of a kind a room has.
    pub(crate) async fn rows(&self, room: &str, kind: &str) -> usize {
        let rows = self.engine.rows().await;
        let of_room = rows.iter().filter(|row| row["pk"].as_s().is_ok_and(|it| it == room));
        of_room.filter(|row| row["sk"].as_s().is_ok_and(|it| it.starts_with(kind))).count()
    }
}
