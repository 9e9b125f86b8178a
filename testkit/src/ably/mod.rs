//! give a wrong time.

mod answer;
mod behaviour;
mod history;
mod publish;
mod route;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use serde_json::Value;
use tokio::sync::Notify;

use self::answer::answer;
pub use self::behaviour::{Behaviour, Once};
use crate::server::Server;

/// A stand-in on a free port of this machine; it ends when it is dropped.
pub struct Ably {
    /// Where it listens, as `ABLY_REST_URL` takes it.
    pub endpoint: String,
    shared: Arc<Shared>,
    _server: Server,
}

impl Ably {
    /// The one key it takes.
    pub const KEY: &'static str = "aB3dEf.kEy1Id:a-secret-for-tests";

    /// Starts an API that knows nothing.
    ///
    /// # Panics
    /// When this machine has no free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = Server::start(router).await;
        Self { endpoint: format!("http://{}", server.address), shared, _server: server }
    }

    /// The environment by which a program finds it, and may ask it.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        [("ABLY_REST_URL", self.endpoint.as_str()), ("ABLY_API_KEY", Self::KEY)]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec()
    }

    /// Adds a version of a message, in the Chat form.
    ///
    /// # Panics
    /// When it has no serial.
    pub fn publish(&self, room: &str, version: Value) {
        let serial = version["serial"].as_str().expect("a serial").to_owned();
        let mut data = lock(&self.shared.data);
        let messages = data.rooms.entry(room.into()).or_default();
        messages.entry(serial).or_default().versions.push(version);
    }

    /// Every version of every message of a room, in the Chat form.
    #[must_use]
    pub fn versions(&self, room: &str) -> Vec<Value> {
        let data = lock(&self.shared.data);
        let messages = data.rooms.get(room).into_iter().flat_map(BTreeMap::values);
        messages.flat_map(|message| message.versions.clone()).collect()
    }

    /// The headers of requests that published, oldest first: name and value.
    #[must_use]
    pub fn published_with(&self) -> Vec<BTreeMap<String, String>> {
        lock(&self.shared.data).published_with.clone()
    }

    /// Says what the reactions to a message are.
    pub fn react(&self, room: &str, serial: &str, reactions: Value) {
        self.message(room, serial, |message| message.reactions = Some(reactions));
    }

    /// Adds an annotation to a message.
    pub fn annotate(&self, room: &str, serial: &str, annotation: Value) {
        self.message(room, serial, |message| message.annotations.push(annotation));
    }

    /// Adds a message to a metachannel.
    pub fn say(&self, channel: &str, message: Value) {
        lock(&self.shared.data).meta.entry(channel.into()).or_default().push(message);
    }

    /// Has a channel be active.
    pub fn enter(&self, channel: &str) {
        lock(&self.shared.data).active.insert(channel.into());
    }

    /// Keeps the key from a room.
    pub fn forbid(&self, room: &str) {
        lock(&self.shared.data).forbidden.insert(room.into());
    }

    /// Refuses what has a path that begins so (not encoded) from now on. The longest beginning
    /// decides.
    pub fn refuse(&self, path: &str, status: u16, code: u32) {
        lock(&self.shared.data).refused.insert(path.into(), Some((status, code)));
    }

    /// Allows what has a path that begins so from now on.
    pub fn allow(&self, path: &str) {
        lock(&self.shared.data).refused.insert(path.into(), None);
    }

    /// Decides about the next request whose path begins so (not encoded); given again, about the
    /// one after that.
    pub fn next(&self, path: &str, once: Once) {
        lock(&self.shared.data).next.push((path.into(), once));
    }

    /// Behaves otherwise from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.data).behaviour);
    }

    /// Requests so far: all, for pages of history, for versions.
    #[must_use]
    pub fn requests(&self) -> [u64; 3] {
        let Shared { requests, histories, versions, .. } = &*self.shared;
        [requests, histories, versions].map(|count| count.load(Ordering::SeqCst))
    }

    /// Waits until this many pages of history have been asked for.
    pub async fn wait_for_pages(&self, count: u64) {
        loop {
            let paged = self.shared.paged.notified();
            if self.requests()[1] >= count {
                return;
            }
            paged.await;
        }
    }

    /// Waits until this number of requests has been made.
    pub async fn wait_for_requests(&self, count: u64) {
        loop {
            let asked = self.shared.asked.notified();
            if self.requests()[0] >= count {
                return;
            }
            asked.await;
        }
    }

    fn message(&self, room: &str, serial: &str, change: impl FnOnce(&mut Message)) {
        let mut data = lock(&self.shared.data);
        change(data.rooms.entry(room.into()).or_default().entry(serial.into()).or_default());
    }
}

#[derive(Default)]
struct Message {
    /// In the Chat form, oldest first.
    versions: Vec<Value>,
    reactions: Option<Value>,
    annotations: Vec<Value>,
}

impl Message {
    /// The versions that lists of them show.
    fn listed(&self, behaviour: &Behaviour) -> Vec<Value> {
        let is_listed = |version: &&Value| {
            let serial = version["version"]["serial"].as_str().unwrap_or_default();
            !behaviour.unlisted.contains(serial)
        };
        self.versions.iter().filter(is_listed).cloned().collect()
    }
}

#[derive(Default)]
struct Data {
    rooms: BTreeMap<String, BTreeMap<String, Message>>,
    /// Pub/Sub messages of metachannels.
    meta: BTreeMap<String, Vec<Value>>,
    active: BTreeSet<String>,
    /// Rooms that the key may not read.
    forbidden: BTreeSet<String>,
    /// What is refused, by the beginning of its path, with which status and code; or is not.
    refused: BTreeMap<String, Option<(u16, u32)>>,
    /// What was answered to a publish, by room and idempotency key.
    published: BTreeMap<(String, String), Value>,
    published_with: Vec<BTreeMap<String, String>>,
    /// Serials given out.
    serials: u64,
    /// What becomes of the next requests whose paths begin so.
    next: Vec<(String, Once)>,
    behaviour: Behaviour,
}

#[derive(Default)]
struct Shared {
    data: Mutex<Data>,
    requests: AtomicU64,
    histories: AtomicU64,
    versions: AtomicU64,
    paged: Notify,
    asked: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding this lock")
}
