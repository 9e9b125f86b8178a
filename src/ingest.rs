//! One way in for every event source: decode each record, plan its puts, fold those that meet in
//! one row, write the rest, and say of each record what became of it. Knows no event source.

use std::collections::{BTreeMap, HashMap};

use futures_util::StreamExt;
use futures_util::stream;
use regex_lite::Regex;
use serde::Serialize;
use tokio::time::Instant;

use crate::ably::{Decoder, Entry, Outcome, Skip};
use crate::chat::{ChatEvent, RoomName, Serial};
use crate::store::{Key, Observation, Put, Store, StoreError, Written};

/// Writes in flight at once. Enough to keep one core busy against a table that answers in 5 ms;
/// each is a connection, which costs a TLS handshake once.
const CONCURRENCY: usize = 48;

/// One delivered body.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What the event source repeats when it redelivers the record.
    pub id: &'a str,
    /// The payload as Ably made it.
    pub body: &'a [u8],
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
    /// Ought to be stored and could not be.
    pub failed: Vec<Failure>,
    /// `version.timestamp` of each stored message version, for the ingest lag.
    #[serde(skip)]
    pub stored_timestamps: Vec<i64>,
    /// Messages whose payload seems to have lost its `encoding` on the way.
    #[serde(skip)]
    pub encoding_lost: Vec<(Option<RoomName>, Option<Serial>)>,
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
}

/// The way from a body to rows.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// Reads bodies.
    pub decoder: Decoder,
    /// Writes rows.
    pub store: Store,
    /// Rooms to keep; `None` keeps all.
    pub room_filter: Option<Regex>,
}

/// A message on its way: the record it is of, and the rows that decide about it.
struct Pending {
    record: usize,
    room: RoomName,
    serial: Option<Serial>,
    version_timestamp: Option<i64>,
    /// Indices into [`Batch::rows`].
    rows: Vec<usize>,
}

impl Ingest {
    /// Takes records in, and answers for each of them in their order. `received_at` is the time of
    /// arrival in ms since the epoch; what is not written by `deadline` fails as retryable.
    pub async fn ingest(
        &self,
        records: &[Record<'_>],
        received_at: i64,
        deadline: Instant,
    ) -> Vec<Report> {
        let mut batch = Batch::default();
        for record in records {
            batch.reports.push(Report::default());
            self.take(&mut batch, *record, received_at);
        }
        let Batch { mut reports, pending, rows, owners, .. } = batch;
        let mut written: Vec<_> = stream::iter(rows.into_iter().enumerate())
            .map(|(row, put)| async move { (row, self.store.write(put, deadline).await) })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        written.sort_unstable_by_key(|(row, _)| *row);
        for (index, message) in pending.into_iter().enumerate() {
            let rows = message.rows.iter().map(|&row| (owners[row] == index, &written[row].1));
            settle(&mut reports[message.record], &message, rows);
        }
        reports
    }

    fn take(&self, batch: &mut Batch, record: Record<'_>, received_at: i64) {
        let entries = match self.decoder.decode(record.body) {
            Ok(entries) => entries,
            Err(error) => {
                let report = batch.report();
                report.received += 1;
                report.failed.push(Failure {
                    room: None,
                    serial: None,
                    reason: error.to_string(),
                    error_type: ErrorType::NonRetryable,
                });
                return;
            }
        };
        for entry in entries {
            let source_id = entry.delivery.as_deref().unwrap_or(record.id);
            let delivery = format!("{source_id}.{}", entry.index);
            let observation = Observation { delivery: &delivery, received_at };
            batch.report().received += 1;
            match self.plan(entry, observation, batch.report()) {
                Ok(Some((pending, puts))) => batch.add(pending, puts),
                Ok(None) => {}
                Err(failure) => batch.report().failed.push(failure),
            }
        }
    }

    /// What one entry asks to be written; nothing if it is skipped.
    fn plan(
        &self,
        entry: Entry,
        observation: Observation<'_>,
        report: &mut Report,
    ) -> Result<Option<(Pending, Vec<Put>)>, Failure> {
        let failure = |room, serial, reason: String| Failure {
            room,
            serial,
            reason,
            error_type: ErrorType::NonRetryable,
        };
        let event = match entry.outcome {
            Outcome::Event(event) => event,
            Outcome::Fail(error) => {
                return Err(failure(entry.room, entry.serial, error.to_string()));
            }
            Outcome::Skip(skip) => {
                *report.skipped.entry(skip).or_default() += 1;
                return Ok(None);
            }
        };
        if let Some(skip) = self.unwanted(&event) {
            *report.skipped.entry(skip).or_default() += 1;
            return Ok(None);
        }
        if entry.encoding_lost {
            report.encoding_lost.push((entry.room.clone(), entry.serial.clone()));
        }
        let puts = self
            .store
            .plan(&event, observation)
            .map_err(|error| failure(entry.room, entry.serial.clone(), error.to_string()))?;
        let version_timestamp = match &event {
            ChatEvent::Version(message, _) => Some(message.version.timestamp),
            ChatEvent::Reactions(_) => None,
        };
        let pending = Pending {
            record: 0,
            room: event.room().clone(),
            serial: entry.serial,
            version_timestamp,
            rows: Vec::new(),
        };
        Ok(Some((pending, puts)))
    }

    fn unwanted(&self, event: &ChatEvent) -> Option<Skip> {
        let filter = self.room_filter.as_ref();
        if filter.is_some_and(|filter| !filter.is_match(&event.room().0)) {
            return Some(Skip::RoomFilter);
        }
        let reactions = matches!(event, ChatEvent::Reactions(_));
        (reactions && !self.store.keeps_reactions()).then_some(Skip::ReactionsOff)
    }
}

/// What the records of one invocation ask for, puts to one row folded as they come.
#[derive(Default)]
struct Batch {
    reports: Vec<Report>,
    pending: Vec<Pending>,
    rows: Vec<Put>,
    /// Row by key.
    by_key: HashMap<Key, usize>,
    /// Which message's put each row is: an index into `pending`.
    owners: Vec<usize>,
}

impl Batch {
    /// The report of the record being taken in.
    fn report(&mut self) -> &mut Report {
        self.reports.last_mut().expect("a record is pushed before its messages")
    }

    fn add(&mut self, mut pending: Pending, puts: Vec<Put>) {
        let message = self.pending.len();
        pending.record = self.reports.len() - 1;
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

/// Says of one message what its rows say: each whether it is the message's own, and what became of
/// it. A put that was folded away shares the fate of the one it was folded into: if that failed,
/// the message is not stored either.
fn settle<'a>(
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
                    room: Some(message.room.clone()),
                    serial: message.serial.clone(),
                    reason: error.to_string(),
                    error_type,
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
