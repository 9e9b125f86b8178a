//! What became of a record and its messages, and the words for it that answers and logs share.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Serialize, Serializer};

use crate::ably::Skip;
use crate::chat::{RoomName, Serial};
use crate::logs::short;
use crate::store::Key;

/// Failures named in words, and in answers.
const NAMED_FAILURES: usize = 5;

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// All of it is stored, or not for the archive.
    Done,
    /// What could not be stored is in the failure queue.
    Parked,
    /// It goes back to its source.
    HandedBack,
}

/// A record's end, and what became of its messages.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) disposition: Disposition,
    pub(crate) report: Report,
}

/// Where a failed record goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ErrorType {
    /// The same bytes may succeed later.
    Retryable,
    /// They will not.
    NonRetryable,
}

impl ErrorType {
    /// The word that logs, reports and Lambda's `errorType` carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retryable => "Retryable",
            Self::NonRetryable => "NonRetryable",
        }
    }
}

/// A message, or a whole record, that could not be stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The room, as far as it could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    /// The message, as far as it could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// What is wrong and where; never any content.
    pub reason: String,
    /// Whether the same bytes may succeed later.
    pub error_type: ErrorType,
    /// Which item of a batch it is in.
    #[serde(skip)]
    pub item: Option<usize>,
}

/// What became of one record. Counts are of messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// In the record. A record that cannot be read counts as one.
    pub received: u64,
    /// At least one row was written.
    pub stored: u64,
    /// The table held the same or newer already.
    pub superseded: u64,
    /// Not for the archive.
    pub skipped: BTreeMap<Skip, u64>,
    /// Ought to be stored and could not be. An answer names the first of them: it has a limit.
    #[serde(serialize_with = "first_few")]
    pub failed: Vec<Failure>,
    /// The integration rule is wrong, whatever it sends.
    #[serde(skip)]
    pub is_wrong_rule: bool,
    /// `version.timestamp` of each stored message version, for the ingest lag.
    #[serde(skip)]
    pub stored_timestamps: Vec<i64>,
    /// Messages whose payload seems to have lost its `encoding` on the way.
    #[serde(skip)]
    pub encoding_lost: Vec<(Option<RoomName>, Option<Serial>)>,
    /// Messages with members of another type than they should be, and which those are.
    #[serde(skip)]
    pub odd: Vec<(Option<RoomName>, Option<Serial>, Vec<&'static str>)>,
    /// The rows in which the record's order of arrival counts. If a record comes again, so must
    /// those behind it that share such a row.
    #[serde(skip)]
    pub ordered_rows: Vec<Key>,
}

impl Report {
    /// What the record has to be handed back for; `None` when all of it is stored or skipped.
    #[must_use]
    pub fn error_type(&self) -> Option<ErrorType> {
        let retryable = |failure: &Failure| failure.error_type == ErrorType::Retryable;
        if self.failed.iter().any(retryable) {
            Some(ErrorType::Retryable)
        } else {
            (!self.failed.is_empty()).then_some(ErrorType::NonRetryable)
        }
    }

    /// The report of a record of which nothing can be used.
    #[must_use]
    pub fn unreadable(reason: &impl ToString) -> Self {
        let failure = Failure::refused(None, None, reason, None);
        Self { received: 1, failed: vec![failure], ..Self::default() }
    }

    /// The sum of this report and another.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.received += other.received;
        self.stored += other.stored;
        self.superseded += other.superseded;
        for (skip, count) in other.skipped {
            *self.skipped.entry(skip).or_default() += count;
        }
        self.failed.extend(other.failed);
        self.is_wrong_rule |= other.is_wrong_rule;
        self.stored_timestamps.extend(other.stored_timestamps);
        self.encoding_lost.extend(other.encoding_lost);
        self.odd.extend(other.odd);
        self.ordered_rows.extend(other.ordered_rows);
        self
    }

    /// Counts the rest of a record, for which there was no time, as one message.
    pub(super) fn not_begun(&mut self) {
        self.received += 1;
        let reason = "not begun before the invocation's deadline".into();
        let error_type = ErrorType::Retryable;
        self.failed.push(Failure { room: None, serial: None, reason, error_type, item: None });
    }

    pub(super) fn skip<T>(&mut self, skip: Skip) -> Option<T> {
        *self.skipped.entry(skip).or_default() += 1;
        None
    }
}

impl Failure {
    pub(super) fn refused(
        room: Option<RoomName>,
        serial: Option<Serial>,
        reason: &impl ToString,
        item: Option<usize>,
    ) -> Self {
        let (reason, error_type) = (reason.to_string(), ErrorType::NonRetryable);
        Self { room, serial, reason, error_type, item }
    }
}

fn first_few<S: Serializer>(failed: &[Failure], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(failed.iter().take(NAMED_FAILURES))
}

/// Some failures in words, separated by semicolons; the rest are counted, and all of them are
/// logged.
pub(crate) fn reasons(failed: &[&Failure]) -> String {
    let mut text = String::new();
    for (index, failure) in failed.iter().take(NAMED_FAILURES).enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        let written = match (&failure.room, &failure.serial) {
            (Some(room), Some(serial)) => {
                let (room, serial) = (short(&room.0), short(&serial.0));
                write!(text, "{separator}room {room:?} serial {serial:?}: {}", failure.reason)
            }
            (Some(room), None) => {
                write!(text, "{separator}room {:?}: {}", short(&room.0), failure.reason)
            }
            (None, _) => write!(text, "{separator}{}", failure.reason),
        };
        written.expect("writing to a String cannot fail");
    }
    match failed.len().saturating_sub(NAMED_FAILURES) {
        0 => {}
        more => write!(text, "; and {more} more").expect("writing to a String cannot fail"),
    }
    text
}
