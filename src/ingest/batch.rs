//! Messages that are stored together: their puts, folded where they meet in one row, and the
//! report on each message from the results of its rows.

use std::collections::HashMap;

use crate::chat::{RoomName, Serial};
use crate::ingest::outcome::{ErrorType, Failure, Report};
use crate::store::{Key, Put, StoreError, Written};

/// Rows, messages, and bytes of records that are planned before any of them is written: what is in
/// memory at once. Puts to one row are folded as far as they are planned together.
const MOST_ROWS: usize = 1_024;
const MOST_MESSAGES: usize = 16_384;
const MOST_BYTES: usize = 4 * 1_024 * 1_024;

/// A message on its way: the record it is of, and the rows that decide about it.
pub(super) struct Pending {
    pub(super) record: usize,
    pub(super) item: Option<usize>,
    pub(super) room: Option<RoomName>,
    pub(super) serial: Option<Serial>,
    pub(super) version_timestamp: Option<i64>,
    /// Indices into [`Batch::rows`].
    pub(super) rows: Vec<usize>,
}

/// What messages ask for, puts to one row folded as they come.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) pending: Vec<Pending>,
    pub(super) rows: Vec<Put>,
    /// Row by key.
    by_key: HashMap<Key, usize>,
    /// Which message's put each row is: an index into `pending`.
    pub(super) owners: Vec<usize>,
    /// Of the records that are in here whole.
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MOST_ROWS
            || self.pending.len() >= MOST_MESSAGES
            || self.bytes >= MOST_BYTES
    }

    pub(super) fn add(&mut self, mut pending: Pending, puts: Vec<Put>) {
        let message = self.pending.len();
        for put in puts {
            let row = *self.by_key.entry(put.key.clone()).or_insert(self.rows.len());
            pending.rows.push(row);
            if row == self.rows.len() {
                self.rows.push(put);
                self.owners.push(message);
            } else if put.condition.replaces(&self.rows[row].condition) {
                self.rows[row] = put;
                self.owners[row] = message;
            }
        }
        self.pending.push(pending);
    }
}

/// Reports one message from the results of its rows, each with whether the put was the message's
/// own. A folded put shares the result of the put it was folded into.
pub(super) fn report_message<'a>(
    report: &mut Report,
    message: &Pending,
    rows: impl Iterator<Item = (bool, &'a Result<Written, StoreError>)>,
) {
    let mut stored = false;
    for (is_own, written) in rows {
        match written {
            Ok(written) => stored |= is_own && *written == Written::Stored,
            Err(error) => {
                let error_type = match error.is_retryable {
                    true => ErrorType::Retryable,
                    false => ErrorType::NonRetryable,
                };
                return report.failed.push(Failure {
                    room: message.room.clone(),
                    serial: message.serial.clone(),
                    reason: error.to_string(),
                    error_type,
                    item: message.item,
                });
            }
        }
    }
    if stored {
        report.stored += 1;
        report.stored_timestamps.extend(message.version_timestamp);
    } else {
        report.superseded += 1;
    }
}
