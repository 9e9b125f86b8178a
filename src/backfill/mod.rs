//! Finds what Ably did not deliver, and mends it: walks Ably's history of a room, compares each page with
//! the table, writes what is absent under the same conditions as live data, and leaves a receipt.

mod ask;
mod compare;
mod progress;
mod receipt;
mod rooms;
mod scope;
mod stop;
mod verify;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::Semaphore;

pub use compare::{Finding, Gap};
pub use receipt::{PageReceipt, Receipt, Tally, Window, receipts};
pub use rooms::{DaysSeen, active_rooms, days_seen, stored_rooms};
pub use scope::Scope;
pub use stop::Stop;
pub use verify::{Verified, verify};

use crate::ably::CipherKey;
use crate::chat::{RoomName, Serial};
use crate::rest::{AblyRest, RestError};
use crate::store::{RoomIndex, Store, StoreError};
use crate::time::{MS_PER_DAY, now};
use receipt::covered_until;
use walk::Walk;

/// Pages that are written at once, of all rooms.
const WRITERS: usize = 2;

/// What of the gaps found a walk writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing: it compares.
    Nothing,
    /// What is missing or older, and reactions.
    Missing,
    /// Also what is different: Ably's record wins.
    All,
}

impl Repair {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "compare",
            Self::Missing => "fill",
            Self::All => "repair",
        }
    }
}

/// Walks rooms.
#[derive(Debug)]
pub struct Backfill {
    rest: AblyRest,
    store: Store,
    /// Decrypts messages that the Pub/Sub API serves encrypted.
    pub cipher_key: Option<CipherKey>,
    /// Where rooms are noted; `None` notes none.
    pub room_index: Option<Arc<RoomIndex>>,
    /// What is written.
    pub repair: Repair,
    /// Whether anything is written at all, receipts and checkpoints included.
    pub is_executed: bool,
    /// Whether individual reactions are fetched too.
    pub annotations: bool,
    /// Whether every version is asked for, also of messages whose versions were found complete
    /// before.
    pub is_full: bool,
    /// Whether a window without messages gets a receipt as well.
    pub leaves_empty_receipts: bool,
    /// Asks walks to stop.
    pub stop: Stop,
    writes: Semaphore,
}

/// Is told what a walk finds.
pub trait Observer: Send + Sync {
    /// The table falls short of Ably.
    fn finding(&self, room: &RoomName, finding: &Finding);
    /// A message could not be read or stored. There will be no receipt.
    fn failed(&self, room: &RoomName, serial: Option<&Serial>, reason: &str);
    /// So much more is done.
    fn progress(&self, room: &RoomName, done: &Tally);
}

/// What a walk came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Walked {
    /// Counts of the whole walk.
    pub tally: Tally,
    /// Of these, what an earlier walk had done that was stopped.
    pub resumed: Tally,
    /// What was left of it; none if it failed or was stopped.
    pub receipts: Vec<Receipt>,
    /// DynamoDB write units of the receipts.
    pub receipt_units: u64,
    /// Messages that could not be read or stored.
    pub failures: u64,
    /// Whether it was stopped; it goes on from its checkpoint next time.
    pub is_stopped: bool,
    /// Whether neither Ably nor the table has ever seen the room; then there is no receipt.
    pub is_unknown: bool,
}

impl Walked {
    /// Counts of what this walk did itself.
    #[must_use]
    pub fn done(&self) -> Tally {
        self.tally.minus(&self.resumed)
    }
}

/// A walk ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Why.
    pub reason: String,
    /// Whether other rooms would fail by it too.
    pub is_fatal: bool,
    /// Whether no room of Ably's can have that name.
    pub is_of_name: bool,
}

impl Failure {
    fn of(reason: &str) -> Self {
        Self { reason: reason.into(), is_fatal: false, is_of_name: false }
    }
}

impl From<RestError> for Failure {
    fn from(error: RestError) -> Self {
        let (is_fatal, is_of_name) = (error.is_of_key(), error.is_of_name());
        Self { reason: error.to_string(), is_fatal, is_of_name }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::of(&error.to_string())
    }
}

impl Backfill {
    /// A backfill through this client into this table that writes nothing yet.
    #[must_use]
    pub fn new(rest: AblyRest, store: Store, stop: Stop) -> Self {
        let (repair, writes) = (Repair::Nothing, Semaphore::new(WRITERS));
        Self {
            rest,
            store,
            cipher_key: None,
            room_index: None,
            repair,
            is_executed: false,
            annotations: false,
            is_full: false,
            leaves_empty_receipts: true,
            stop,
            writes,
        }
    }

    /// The client.
    #[must_use]
    pub fn rest(&self) -> &AblyRest {
        &self.rest
    }

    /// The table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Walks a room's window, or what of it comes after the checkpoint of an earlier walk that was
    /// stopped. Checkpoints are told apart by `origin`, in ms since the epoch: where the window began, for
    /// whoever asked for it, before part of it was done.
    ///
    /// # Errors
    /// When Ably or the table could not be asked. What was done so far, is done.
    pub async fn walk(
        &self,
        room: &RoomName,
        (window, origin): (Window, i64),
        observer: &dyn Observer,
    ) -> Result<Walked, Failure> {
        let full = if self.is_full { "-full" } else { "" };
        let checkpoint = format!("{origin:015}#{}{full}", self.repair.word());
        let walk = Walk {
            backfill: self,
            room,
            checkpoint,
            scope: self.scope(),
            observer,
            failures: AtomicU64::new(0),
            is_noted: AtomicBool::new(false),
        };
        walk.run(self.within_retention(window)).await
    }

    /// What its walks look at.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::new(self.rest.app_id(), self.store.settings(), self.annotations)
    }

    /// A room's receipts in the table, but for any that cannot be read.
    async fn receipts(&self, room: &RoomName) -> Result<Vec<Receipt>, StoreError> {
        Ok(receipts(&self.store, room).await?.into_iter().flatten().collect())
    }

    /// Where a window begins that continues what receipts cover: from `from` on, or from where the
    /// earliest of them begins. `None` if there is no receipt that counts.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn covered_until(
        &self,
        room: &RoomName,
        from: Option<i64>,
    ) -> Result<Option<i64>, StoreError> {
        let receipts = self.receipts(room).await?;
        Ok(covered_until(&receipts, &self.scope(), from))
    }

    /// What `RETENTION_DAYS` lets expire is no gap.
    #[must_use]
    pub fn within_retention(&self, window: Window) -> Window {
        let days = self.store.settings().retention_days;
        let oldest = days.map_or(0, |days| now() - i64::from(days) * MS_PER_DAY);
        Window { from: window.from.max(oldest), ..window }
    }
}
