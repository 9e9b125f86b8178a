//! Which rooms there are: Ably lists active channels only, so the exporter notes each room that it
//! stores something of, by day. That is what a reconcile walks.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::chat::RoomName;
use crate::logs::short;
use crate::store::table::Store;
use crate::time::MS_PER_DAY;

/// Rooms remembered; then it forgets them all, at the price of noting them once more.
const MAX_REMEMBERED: usize = 10_000;
/// Notes on their way at once.
const CONCURRENCY: usize = 16;

/// Notes rooms in the table's index: at most one write for each room, day and instance of the
/// program.
#[derive(Debug, Default)]
pub struct RoomIndex {
    noted: Mutex<HashSet<(i64, RoomName)>>,
}

/// A room to note: the day and the room, and when it was seen.
type Note = ((i64, RoomName), i64);

impl RoomIndex {
    /// How long notes may go on after the writes that they are made beside.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

    /// Notes rooms, each with when it was seen (ms since the epoch), while `work` is done, and then
    /// for `patience` at most, of which it takes off what it used. A note that fails is logged and
    /// made with the room's next message: it is no reason to hand a message back, or to wait.
    pub(crate) async fn note_beside<T>(
        &self,
        store: &Store,
        rooms: impl Iterator<Item = (RoomName, i64)>,
        patience: &mut Duration,
        deadline: Instant,
        work: impl Future<Output = T>,
    ) -> T {
        let notes = self.unknown(rooms);
        if notes.is_empty() {
            return work.await;
        }
        let first = notes[0].0.1.clone();
        let missing = AtomicUsize::new(notes.len());
        let reason = Mutex::new("no answer in time".to_owned());
        let noting = stream::iter(notes).for_each_concurrent(CONCURRENCY, async |(key, at)| {
            match store.note_room(&key.1, at, deadline).await {
                Ok(()) => {
                    missing.fetch_sub(1, Ordering::Relaxed);
                    self.remember(key);
                }
                Err(error) => *lock(&reason) = error.to_string(),
            }
        });
        let done = match select(pin!(work), pin!(noting)).await {
            Either::Left((done, noting)) => {
                let started = Instant::now();
                // What is not noted by then is counted below.
                timeout_at(deadline.min(started + *patience), noting).await.ok();
                *patience = patience.saturating_sub(started.elapsed());
                done
            }
            Either::Right(((), work)) => work.await,
        };
        match missing.load(Ordering::Relaxed) {
            0 => {}
            missing => not_noted(missing, &first, &lock(&reason)),
        }
        done
    }

    /// What is not noted yet.
    fn unknown(&self, rooms: impl Iterator<Item = (RoomName, i64)>) -> Vec<Note> {
        let mut unknown: HashSet<(i64, RoomName)> = HashSet::new();
        let mut notes = Vec::new();
        for (room, at) in rooms {
            let key = (at.div_euclid(MS_PER_DAY), room);
            if !lock(&self.noted).contains(&key) && unknown.insert(key.clone()) {
                notes.push((key, at));
            }
        }
        notes
    }

    fn remember(&self, key: (i64, RoomName)) {
        let mut noted = lock(&self.noted);
        if noted.len() >= MAX_REMEMBERED {
            noted.clear();
        }
        noted.insert(key);
    }
}

fn not_noted(rooms: usize, first: &RoomName, reason: &str) {
    tracing::warn!(
        room = short(&first.0),
        rooms = (rooms > 1).then_some(rooms),
        reason,
        "room not noted in the index of rooms"
    );
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
