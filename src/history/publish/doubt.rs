//! Rooms in which something may have been published that is not stored: the reconcile function
//! looks at them (`docs/BACKFILL.md`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::Uri;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::aws::sqs::SqsQueue;
use crate::chat::RoomName;
use crate::history::publish::request::Operation;
use crate::history::publish::target;
use crate::store::Store;

/// After that, what was published is in Ably's history, and a look at it includes the next minute.
const DELAY: Duration = Duration::from_secs(150);
/// How long a look that is queued will do for further messages of its room.
const AGE: Duration = Duration::from_secs(60);
/// The most that Ably keeps of a room, in days (Ably docs, "Chat history").
const ALL_DAYS: u16 = 366;
/// What is spent to find when a message was created, of the time that is left.
const TIME_TO_READ: f64 = 0.5;

/// What becomes of a room, in logs.
pub(super) const QUEUED: &str = "room queued";
pub(super) const LEFT: &str = "left";

/// Puts rooms into the reconcile function's queue (`RECONCILE_QUEUE_URL`).
#[derive(Debug)]
pub struct Reconcile {
    queue: SqsQueue,
    /// What was queued, and when.
    queued: Mutex<HashMap<String, Instant>>,
}

impl Reconcile {
    /// Over that queue.
    #[must_use]
    pub fn new(queue: SqsQueue) -> Self {
        Self { queue, queued: Mutex::default() }
    }

    /// Has a room looked at; what has become of it.
    pub(super) async fn ask(
        &self,
        store: &Store,
        room: &RoomName,
        uri: &Uri,
        operation: Operation,
        deadline: Instant,
    ) -> &'static str {
        let work = match operation {
            Operation::Send => json!({"room": room}),
            // An edit belongs to the time at which its message was created.
            _ => match created(store, room, uri, deadline).await {
                Some(at) => json!({"room": room, "from": at, "until": at.saturating_add(1)}),
                None => json!({"room": room, "days": ALL_DAYS}),
            },
        };
        let work = work.to_string();
        if self.is_queued(&work) {
            return QUEUED;
        }
        match self.queue.send_all(std::slice::from_ref(&work), DELAY, deadline).await {
            Ok(()) => {
                self.lock().insert(work, Instant::now());
                QUEUED
            }
            Err(error) => {
                tracing::warn!(reason = %error, "room not queued");
                LEFT
            }
        }
    }

    fn is_queued(&self, work: &str) -> bool {
        let mut queued = self.lock();
        queued.retain(|_, since| since.elapsed() < AGE);
        queued.contains_key(work)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the message of that path was created, if the table knows.
async fn created(store: &Store, room: &RoomName, uri: &Uri, deadline: Instant) -> Option<i64> {
    let serial = target::serial(uri)?;
    let now = Instant::now();
    let read_by = now + deadline.saturating_duration_since(now).mul_f64(TIME_TO_READ);
    let found = timeout_at(read_by, store.message(room, &serial)).await.ok()?.ok()??;
    Some(found.message.timestamp).filter(|at| *at > 0)
}
