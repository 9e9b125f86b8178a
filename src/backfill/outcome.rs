//! What a walk comes to, what it finds on its way, and why it ends early.

use crate::backfill::finding::Finding;
use crate::backfill::receipt::{Receipt, Tally};
use crate::chat::{RoomName, Serial};
use crate::rest::RestError;
use crate::store::StoreError;

/// Learns what a walk finds.
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

/// A walk ended early. Whoever walks many rooms goes on to the next, unless it is fatal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WalkError {
    /// Why.
    pub reason: String,
    /// Whether other rooms would fail by it too.
    pub is_fatal: bool,
    /// Whether no room of Ably's can have that name.
    pub is_of_name: bool,
}

impl WalkError {
    pub(super) fn of(reason: &str) -> Self {
        Self { reason: reason.into(), is_fatal: false, is_of_name: false }
    }
}

impl From<RestError> for WalkError {
    fn from(error: RestError) -> Self {
        let (is_fatal, is_of_name) = (error.is_of_key(), error.is_of_name());
        Self { reason: error.to_string(), is_fatal, is_of_name }
    }
}

impl From<StoreError> for WalkError {
    fn from(error: StoreError) -> Self {
        Self::of(&error.to_string())
    }
}
