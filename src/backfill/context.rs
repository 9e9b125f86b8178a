//! What walks walk with: the client, the table, and what is to be done.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::ably::CipherKey;
use crate::backfill::receipt::{Receipt, Window, covered_until, receipts};
use crate::backfill::scope::Scope;
use crate::backfill::stop::Stop;
use crate::chat::RoomName;
use crate::rest::AblyRest;
use crate::store::{RoomIndex, Store, StoreError};
use crate::time::{MS_PER_DAY, now};

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
    pub(super) fn word(self) -> &'static str {
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
    pub(super) rest: AblyRest,
    pub(super) store: Store,
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
    pub(super) writes: Semaphore,
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

    /// What its walks look at.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::new(self.rest.app_id(), self.store.settings(), self.annotations)
    }

    /// A room's receipts in the table, but for any that cannot be read.
    pub(super) async fn receipts(&self, room: &RoomName) -> Result<Vec<Receipt>, StoreError> {
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
