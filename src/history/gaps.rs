//! Reading finds gaps for nothing: a room of which Ably has what the table should have is queued to
//! be reconciled.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::sqs::SqsQueue;
use crate::backfill::Work;
use crate::chat::RoomName;
use crate::ingest::RoomFilter;
use crate::logs::short;

/// A time of a room is not queued again for so long: a reconcile takes that.
const PAUSE: Duration = Duration::from_secs(300);
/// Rooms remembered; then all are forgotten, at the price of some that are queued once more.
const MAX_REMEMBERED: usize = 10_000;
/// What sending may take, which the reader waits for: once the answer is out, a function is frozen.
const PATIENCE: Duration = Duration::from_secs(1);

/// When messages were created that the table lacks: the first and the last, in ms since the epoch.
pub(super) type Gap = (i64, i64);

/// The queue of rooms to be reconciled, and which were queued lately.
#[derive(Debug)]
pub struct Gaps {
    queue: SqsQueue,
    room_filter: Option<RoomFilter>,
    queued: Mutex<HashMap<RoomName, (Instant, Gap)>>,
}

impl Gaps {
    /// Gaps that go into this queue (`RECONCILE_QUEUE_URL`), of rooms that the filter keeps.
    #[must_use]
    pub fn new(queue: SqsQueue, room_filter: Option<RoomFilter>) -> Self {
        Self { queue, room_filter, queued: Mutex::default() }
    }

    /// Queues a room for what was created from one time to another, both included, in ms since the
    /// epoch. One that is not taken is found again by the next reader.
    pub(super) async fn found(&self, room: &RoomName, (first, last): Gap) {
        let started = Instant::now();
        let is_kept = self.room_filter.as_ref().is_none_or(|filter| filter.keeps(room));
        if !is_kept || !self.is_new(room, (first, last), started) {
            return;
        }
        let window = (Some(first), Some(last.saturating_add(1)));
        let work = Work { from: window.0, until: window.1, ..Work::of(room.clone()) };
        let sent = self.queue.send_all(&[work.json()], Duration::ZERO, started + PATIENCE).await;
        match sent {
            Ok(()) => tracing::info!(room = short(&room.0), "gap found: room queued"),
            Err(error) => {
                self.lock().remove(room);
                let (room, reason) = (short(&room.0), error.to_string());
                tracing::warn!(room, reason, "gap found: room not queued");
            }
        }
    }

    /// Whether that time of the room was not queued lately; it is from now on.
    fn is_new(&self, room: &RoomName, gap: Gap, now: Instant) -> bool {
        let mut queued = self.lock();
        let known = queued.get(room).filter(|(at, _)| now.duration_since(*at) < PAUSE);
        if known.is_some_and(|(_, known)| known.0 <= gap.0 && gap.1 <= known.1) {
            return false;
        }
        if queued.len() >= MAX_REMEMBERED {
            queued.clear();
        }
        queued.insert(room.clone(), (now, gap));
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RoomName, (Instant, Gap)>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
