//! Which rooms there are: Ably lists active channels only, so the exporter notes each room that it
//! stores something of, by day. That is what a reconcile walks.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::chat::RoomName;
use crate::logs;
use crate::store::Store;
use crate::time::MS_PER_DAY;

/// Rooms remembered; then it forgets them all, at the price of noting them once more.
const MAX_REMEMBERED: usize = 10_000;
/// Notes on their way at once.
const CONCURRENCY: usize = 16;

/// Notes rooms in the table's index: at most one write for each room, day and instance of the program.
#[derive(Debug, Default)]
pub struct RoomIndex {
    noted: Mutex<HashSet<(i64, RoomName)>>,
}

impl RoomIndex {
    /// Notes rooms, each with when it was seen (ms since the epoch). A note that fails is logged and
    /// made with the room's next message: it is no reason to hand a message back.
    pub(crate) async fn note(
        &self,
        store: &Store,
        rooms: impl Iterator<Item = (RoomName, i64)>,
        deadline: Instant,
    ) {
        let mut unknown: HashSet<(i64, RoomName)> = HashSet::new();
        let mut notes = Vec::new();
        for (room, at) in rooms {
            let key = (at.div_euclid(MS_PER_DAY), room);
            if !self.lock().contains(&key) && unknown.insert(key.clone()) {
                notes.push((key, at));
            }
        }
        stream::iter(notes)
            .for_each_concurrent(CONCURRENCY, async |((day, room), at)| {
                match store.see_room(&room, at, deadline).await {
                    Ok(()) => self.remember((day, room)),
                    Err(error) => logs::room_not_noted(&room, &error),
                }
            })
            .await;
    }

    fn remember(&self, key: (i64, RoomName)) {
        let mut noted = self.lock();
        if noted.len() >= MAX_REMEMBERED {
            noted.clear();
        }
        noted.insert(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(i64, RoomName)>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
