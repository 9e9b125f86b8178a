//! How far a walk has come, and how it is taken up again: the checkpoint.

use serde::{Deserialize, Serialize};

use crate::backfill::receipt::{PageReceipt, Tally, Window, digest, twins};
use crate::backfill::scope::Scope;
use crate::chat::{RoomName, Serial};
use crate::store::{KeepVersions, Store, StoreError};
use crate::time::{MS_PER_DAY, now};

/// A checkpoint older than this, in ms, is none to go on from: messages may have been edited since.
const MAX_AGE: i64 = MS_PER_DAY;

/// How far a walk has come: everything under it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    /// What it looks at.
    pub(super) scope: Scope,
    /// The first ms of the window, or of what no receipt has been left of yet.
    pub(super) from: i64,
    /// The last message that the receipt before has seen.
    after: Option<Serial>,
    /// When the first message seen was created.
    pub(super) oldest: Option<i64>,
    /// Counts of what receipts were left of.
    earlier: Tally,
    /// What was done since.
    pub(super) done: Vec<Done>,
    /// Messages that could not be read or stored: there will be no receipt.
    #[serde(default)]
    pub(super) failures: u64,
    pub(super) started_at: i64,
    saved_at: i64,
}

/// One page that is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    /// What of it is in the receipt.
    pub(super) page: PageReceipt,
    /// When the latest message so far was created: ms since the epoch.
    pub(super) position: i64,
    pub(super) tally: Tally,
}

impl Progress {
    pub(super) fn begin(scope: Scope, from: i64) -> Self {
        Self { scope, from, started_at: now(), ..Self::default() }
    }

    /// The last message done.
    pub(super) fn last(&self) -> Option<&Serial> {
        self.done.last().map(|done| &done.page.last).or(self.after.as_ref())
    }

    /// When the last message done was created: ms since the epoch.
    pub(super) fn position(&self) -> i64 {
        self.done.last().map_or(self.from, |done| done.position)
    }

    /// Counts of what no receipt has been left of yet.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.done.iter().for_each(|done| sum.add(&done.tally));
        sum
    }

    /// Counts of the whole walk.
    pub(super) fn whole(&self) -> Tally {
        let mut sum = self.earlier;
        sum.add(&self.tally());
        sum
    }

    pub(super) fn pages(&self) -> Vec<PageReceipt> {
        self.done.iter().map(|done| done.page.clone()).collect()
    }

    /// What comes after a receipt that was left of all this, until `from`.
    pub(super) fn next(self, from: i64) -> Self {
        let (earlier, after, failures) = (self.whole(), self.last().cloned(), self.failures);
        Self { earlier, after, failures, ..Self::begin(self.scope, from) }
    }

    pub(super) fn saved(&self) -> Self {
        Self { saved_at: now(), ..self.clone() }
    }

    /// Whether it is of a walk like the one that begins: not long ago, and over all that is wanted.
    pub(super) fn is_of(&self, window: Window, wanted: &Scope) -> bool {
        let is_recent = now() - self.saved_at < MAX_AGE;
        let is_within = (window.from..window.until).contains(&self.position());
        is_recent && is_within && self.scope.includes(wanted)
    }

    /// Forgets the pages that the table no longer holds as they were, and what comes after them.
    ///
    /// # Errors
    /// When the table could not be read.
    pub(super) async fn check(&mut self, store: &Store, room: &RoomName) -> Result<(), StoreError> {
        for index in 0..self.done.len() {
            let page = &self.done[index].page;
            let archive = store.read_range(room, (&page.first, &page.last), true).await?;
            let is_same = digest(&archive, page.as_of) == (page.rows, page.sha256.clone());
            let is_both = self.scope.versions == KeepVersions::Both.word();
            let has_gone = |(serial, archived)| twins(serial, archived).is_some();
            if !is_same || is_both && archive.iter().any(has_gone) {
                self.done.truncate(index);
                break;
            }
        }
        Ok(())
    }
}
