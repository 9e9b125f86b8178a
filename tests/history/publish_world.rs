//! What publishes, with a stand-in for Ably, a table, a failure queue and a queue of rooms.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ably_chat_exporter::aws::sqs::SqsQueue;
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::history::Upstream;
use ably_chat_exporter::history::publish::{
    ARCHIVE, Call, Operation, Publish, Published, Reconcile,
};
use ably_chat_exporter::ingest::{Ingest, RoomFilter};
use ably_chat_exporter::store::{Settings, Store};
use axum::body::Bytes;
use axum::http::Request;
use base64::Engine as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use testkit::{Ably, Engine, Fault, FaultProxy, Services};
use tokio::time::Instant;

use crate::common;

/// The app of the stand-in's key.
pub(crate) const APP: &str = "aB3dEf";
/// Longer than anything here takes.
pub(crate) const AMPLE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) ably: Ably,
    pub(crate) engine: Engine,
    /// The failure queue.
    pub(crate) failures: Services,
    /// The queue of rooms.
    pub(crate) rooms: Services,
    pub(crate) publish: Arc<Publish>,
    is_table_down: Arc<AtomicBool>,
    _table: FaultProxy,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Publish)) -> Self {
        let (ably, engine) = (Ably::start().await, Engine::start().await);
        let (failures, rooms) = (Services::start().await, Services::start().await);
        let is_table_down = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&is_table_down);
        let table = FaultProxy::of_rows(&engine.endpoint, move |_| {
            if switch.load(Ordering::SeqCst) { Fault::Throttle } else { Fault::None }
        });
        let table = table.await;
        let client = testkit::client(&table.endpoint);
        let mut sink = common::ingest(&engine, Settings::default());
        sink.store = Store::new(client, Engine::TABLE, Settings::default());
        let queue = |services: &Services| {
            SqsQueue::new(services.queue_url(), common::sdk(&services.endpoint))
        };
        let mut publish = Publish {
            upstream: Arc::new(Upstream::new(Some(&ably.endpoint)).expect("a client")),
            ingest: Ingest { sink, failure_queue: Some(queue(&failures)) },
            apps: BTreeSet::from([APP.to_owned()]),
            rules: None,
            hook: None,
            reconcile: Some(Reconcile::new(queue(&rooms))),
        };
        change(&mut publish);
        let publish = Arc::new(publish);
        Self { ably, engine, failures, rooms, publish, is_table_down, _table: table }
    }

    pub(crate) fn set_table_down(&self, is_down: bool) {
        self.is_table_down.store(is_down, Ordering::SeqCst);
    }

    /// Sends a request with the stand-in's key.
    pub(crate) async fn ask(
        &self,
        request: Request<Bytes>,
        room: &str,
        operation: Operation,
        time: Duration,
    ) -> Published {
        let call = Call {
            request_id: "request".into(),
            function_version: "1".into(),
            deadline: Instant::now() + time,
            client_id: Some("ana".into()),
        };
        let room = RoomName(room.into());
        self.publish.forward(request, Some(&room), operation, call).await
    }

    /// Sends a message.
    pub(crate) async fn send(&self, room: &str, body: &Value) -> Published {
        self.ask(request("POST", &path(room, ""), body), room, Operation::Send, AMPLE).await
    }

    /// Updates or deletes the message with this serial.
    pub(crate) async fn change(&self, room: &str, serial: &str, body: &Value) -> Published {
        let update = body.get("message").is_some();
        let operation = if update { Operation::Update } else { Operation::Delete };
        let (method, end) = if update { ("PUT", "") } else { ("POST", "/delete") };
        let serial = utf8_percent_encode(serial, NON_ALPHANUMERIC);
        let request = request(method, &path(room, &format!("/{serial}{end}")), body);
        self.ask(request, room, operation, AMPLE).await
    }

    /// The bodies of parked messages.
    pub(crate) fn parked(&self) -> Vec<Value> {
        let parsed = |text: &String| serde_json::from_str(text).expect("JSON");
        self.failures.messages().iter().map(parsed).collect()
    }
}

/// The path of a room's messages.
pub(crate) fn path(room: &str, rest: &str) -> String {
    format!("/chat/v4/rooms/{}/messages{rest}", utf8_percent_encode(room, NON_ALPHANUMERIC))
}

/// A request with the stand-in's key.
pub(crate) fn request(method: &str, uri: &str, body: &Value) -> Request<Bytes> {
    let key = base64::prelude::BASE64_STANDARD.encode(Ably::KEY);
    Request::builder()
        .method(method)
        .uri(uri)
        .header("authorization", format!("Basic {key}"))
        .header("x-ably-version", "4")
        .header("ably-agent", "test/1")
        .header("content-type", "application/json")
        .header("cookie", "not for Ably")
        .body(Bytes::from(body.to_string()))
        .expect("a request")
}

pub(crate) fn only(pattern: &str) -> Option<RoomFilter> {
    Some(RoomFilter::parse(pattern).expect("a pattern"))
}

/// The JSON of an answer.
pub(crate) fn json_of(published: &Published) -> Value {
    serde_json::from_slice(&published.body).expect("JSON")
}

/// The status, and what the answer says of the archive.
pub(crate) fn seen(published: &Published) -> (u16, &str) {
    let archive = published.headers.get(ARCHIVE).map(|it| it.to_str().expect("text"));
    (published.status.as_u16(), archive.unwrap_or_default())
}

/// Ably's code, in the body and in the header alike.
pub(crate) fn code(published: &Published) -> u64 {
    let code = json_of(published)["error"]["code"].as_u64().expect("a code");
    let header = published.headers["x-ably-errorcode"].to_str().expect("text");
    assert_eq!(header, code.to_string());
    code
}

/// What an integration rule delivers of a version in the Chat form.
pub(crate) fn delivered(room: &str, version: &Value) -> Vec<u8> {
    let action = match version["action"].as_str() {
        Some("message.create") => 0,
        Some("message.update") => 1,
        _ => 2,
    };
    let data = json!({"text": version["text"], "metadata": version["metadata"]});
    let message = json!({
        "name": "chat.message", "clientId": version["clientId"], "serial": version["serial"],
        "timestamp": version["timestamp"], "action": action, "data": data.to_string(),
        "encoding": "json", "version": version["version"],
        "extras": {"headers": version["headers"]},
    });
    let envelope = json!({"source": "channel.message", "appId": APP,
        "channel": format!("{room}::$chat"), "messages": [message]});
    envelope.to_string().into_bytes()
}
