//! A walk on its way: what all its parts share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::ably::Fetched;
use crate::backfill::context::Backfill;
use crate::backfill::outcome::Observer;
use crate::backfill::scope::Scope;
use crate::chat::{ChatMessage, RoomName, Serial};

/// A message on a page of history.
pub(super) struct Listed {
    pub(super) fetched: Fetched,
    /// Its size there.
    pub(super) bytes: usize,
}

impl Listed {
    pub(super) fn message(&self) -> &ChatMessage {
        &self.fetched.message
    }
}

/// A walk on its way.
pub(super) struct Walk<'a> {
    pub(super) backfill: &'a Backfill,
    pub(super) room: &'a RoomName,
    /// The checkpoint's name.
    pub(super) checkpoint: String,
    pub(super) scope: Scope,
    pub(super) observer: &'a dyn Observer,
    pub(super) failures: AtomicU64,
    /// Whether the room was noted in the index of rooms, or would have been.
    pub(super) is_noted: AtomicBool,
}

impl Walk<'_> {
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self, serial: Option<&Serial>, reason: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.observer.failed(self.room, serial, reason);
    }

    /// Whether to stop: at once if somebody wishes it; for want of time only once a chunk is done,
    /// so that a walk that is resumed again and again still comes to its end.
    pub(super) fn is_to_stop(&self, has_come_further: bool) -> bool {
        let stop = &self.backfill.stop;
        stop.is_wished() || stop.is_due() && has_come_further
    }

    /// What is asked for; `None` if the walk is to stop first. Requests may take minutes of
    /// retries.
    pub(super) async fn unless_stopped<T>(
        &self,
        has_come_further: bool,
        asked: impl Future<Output = T>,
    ) -> Option<T> {
        let stop = &self.backfill.stop;
        let stopped =
            async { if has_come_further { stop.wanted().await } else { stop.wished().await } };
        tokio::select! {
            biased;
            answer = asked => Some(answer),
            () = stopped => None,
        }
    }
}
