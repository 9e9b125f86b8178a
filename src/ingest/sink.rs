//! One way in for every event source: decode each record, plan its puts, fold those that meet in
//! one row, write the rest, and say of each record what became of it. Knows no event source.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use futures_util::{StreamExt, stream};
use regex_lite::Regex;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::ably::{Body, Decoder, Entry, Outcome, PayloadError, Skip};
use crate::chat::{ChatEvent, RoomName, Serial};
use crate::config::{Config, Switch};
use crate::logs::short;
use crate::room_index::RoomIndex;
use crate::store::{Key, Observation, Put, Store, StoreError, Written};

/// Writes in flight at once: as few as keep one processor busy against a table that answers in 5 ms
/// (`make bench`). Each is a connection, which costs a TLS handshake once, and some 60 KB.
const CONCURRENCY: usize = 72;

/// Rows, messages, and bytes of records that are planned before any of them is written: what is in
/// memory at once. Puts to one row are folded as far as they are planned together.
const MOST_ROWS: usize = 4_096;
const MOST_MESSAGES: usize = 16_384;
const MOST_BYTES: usize = 4 * 1_024 * 1_024;

/// Failures named in words, and in answers.
const NAMED_FAILURES: usize = 5;

/// One delivered body.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What the event source repeats when it redelivers the record.
    pub id: &'a str,
    /// The payload as Ably made it.
    pub body: &'a [u8],
    /// When it arrived, in ms since the epoch.
    pub received_at: i64,
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
    /// The rows in which the record's order of arrival counts. If a record comes again, so must those
    /// behind it that share such a row.
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
    fn not_begun(&mut self) {
        self.received += 1;
        let reason = "not begun before the invocation's deadline".into();
        let error_type = ErrorType::Retryable;
        self.failed.push(Failure { room: None, serial: None, reason, error_type, item: None });
    }

    fn skip<T>(&mut self, skip: Skip) -> Option<T> {
        *self.skipped.entry(skip).or_default() += 1;
        None
    }
}

impl Failure {
    fn refused(
        room: Option<RoomName>,
        serial: Option<Serial>,
        reason: &impl ToString,
        item: Option<usize>,
    ) -> Self {
        let (reason, error_type) = (reason.to_string(), ErrorType::NonRetryable);
        Self { room, serial, reason, error_type, item }
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
    /// Where rooms are noted; `None` notes none.
    pub room_index: Option<Arc<RoomIndex>>,
}

/// A message on its way: the record it is of, and the rows that decide about it.
struct Pending {
    record: usize,
    item: Option<usize>,
    room: Option<RoomName>,
    serial: Option<Serial>,
    version_timestamp: Option<i64>,
    /// Indices into [`Batch::rows`].
    rows: Vec<usize>,
}

impl Ingest {
    /// The way into the table that the settings name.
    #[must_use]
    pub fn new(config: Config, sdk: &SdkConfig) -> Self {
        Self {
            decoder: Decoder { app_id: config.ably_app_id, cipher_key: config.cipher_key },
            store: Store::new(Client::new(sdk), config.table_name, config.settings),
            room_filter: config.room_filter,
            room_index: (config.room_index == Switch::On).then(Arc::default),
        }
    }

    /// Takes records in, and answers for each of them in their order. What is not written by
    /// `deadline` fails as retryable.
    pub async fn ingest(&self, records: &[Record<'_>], deadline: Instant) -> Vec<Report> {
        let mut run = Run::new(self, records, deadline);
        for record in records {
            run.take(*record).await;
        }
        run.write().await;
        run.reports
    }

    /// Writes rows, many at once; an outcome for each of them in their order.
    pub async fn write(
        &self,
        rows: Vec<Put>,
        deadline: Instant,
    ) -> Vec<Result<Written, StoreError>> {
        let mut written: Vec<_> = stream::iter(rows.into_iter().enumerate())
            // Lets one write get onto the wire before the next one is signed: the waiting for the
            // table and the work for it overlap.
            .then(async |row| {
                tokio::task::yield_now().await;
                row
            })
            .map(|(row, put)| async move { (row, self.store.write(put, deadline).await) })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        written.sort_unstable_by_key(|(row, _)| *row);
        written.into_iter().map(|(_, written)| written).collect()
    }

    /// What one entry asks to be written; nothing if it is skipped or refused.
    fn plan(
        &self,
        entry: Entry,
        observation: Observation<'_>,
        report: &mut Report,
    ) -> Option<(Pending, Vec<Put>)> {
        let Entry { item, room, serial, outcome, encoding_lost, odd, .. } = entry;
        let event = match outcome {
            Outcome::Skip(skip) => return report.skip(skip),
            _ if self.is_filtered_out(room.as_ref()) => return report.skip(Skip::RoomFilter),
            Outcome::Event(ChatEvent::Reactions(_)) if !self.store.keeps_reactions() => {
                return report.skip(Skip::ReactionsOff);
            }
            Outcome::Fail(error) => {
                report.failed.push(Failure::refused(room, serial, &error, item));
                return None;
            }
            Outcome::Event(event) => event,
        };
        let version_timestamp = match &event {
            ChatEvent::Version(message, _) => Some(message.version.timestamp),
            ChatEvent::Reactions(_) => None,
        };
        match self.store.plan(&event, observation) {
            Ok(puts) => {
                if encoding_lost {
                    report.encoding_lost.push((room.clone(), serial.clone()));
                }
                if !odd.is_empty() {
                    report.odd.push((room.clone(), serial.clone(), odd));
                }
                let pending =
                    Pending { record: 0, item, room, serial, version_timestamp, rows: vec![] };
                Some((pending, puts))
            }
            Err(error) => {
                report.failed.push(Failure::refused(room, serial, &error, item));
                None
            }
        }
    }

    /// Whether `ROOM_FILTER` excludes the room.
    #[must_use]
    pub fn is_filtered_out(&self, room: Option<&RoomName>) -> bool {
        match (&self.room_filter, room) {
            (Some(filter), Some(room)) => !filter.is_match(&room.0),
            _ => false,
        }
    }
}

/// Records on their way, as many of their messages at once as memory should hold.
struct Run<'a> {
    ingest: &'a Ingest,
    records: &'a [Record<'a>],
    deadline: Instant,
    /// Of the records that were begun.
    reports: Vec<Report>,
    /// What is planned and not written yet.
    batch: Batch,
    /// How long notes of rooms may still hold it up.
    patience: Duration,
}

impl<'a> Run<'a> {
    fn new(ingest: &'a Ingest, records: &'a [Record<'a>], deadline: Instant) -> Self {
        let (reports, batch) = (Vec::with_capacity(records.len()), Batch::default());
        let patience = RoomIndex::PATIENCE;
        Self { ingest, records, deadline, reports, batch, patience }
    }

    /// Plans what a record asks for, and writes whenever that has become much.
    async fn take(&mut self, record: Record<'_>) {
        self.reports.push(Report::default());
        if Instant::now() >= self.deadline {
            return self.report().not_begun();
        }
        let unreadable = |error: PayloadError| {
            let is_wrong_rule = error.is_wrong_rule();
            Report { is_wrong_rule, ..Report::unreadable(&error) }
        };
        let body = match Body::read(record.body) {
            Ok(body) => body,
            Err(error) => return *self.report() = unreadable(error),
        };
        let entries = match self.ingest.decoder.entries(&body) {
            Ok(entries) => entries,
            Err(error) => return *self.report() = unreadable(error),
        };
        for entry in entries {
            if self.batch.is_full() {
                self.write().await;
                if Instant::now() >= self.deadline {
                    return self.report().not_begun();
                }
            }
            self.plan(entry, record);
        }
        self.batch.bytes += record.body.len();
        if self.batch.is_full() {
            self.write().await;
        }
    }

    fn plan(&mut self, entry: Entry, record: Record<'_>) {
        let delivery = match (&entry.delivery, entry.item) {
            (Some(serial), _) => format!("{serial}.{}", entry.index),
            (None, Some(item)) => format!("{}.{item}.{}", record.id, entry.index),
            (None, None) => format!("{}.{}", record.id, entry.index),
        };
        let observation =
            Observation { delivery: Some(&delivery), received_at: record.received_at };
        self.report().received += 1;
        let number = self.reports.len() - 1;
        if let Some((pending, puts)) = self.ingest.plan(entry, observation, self.report()) {
            self.batch.add(Pending { record: number, ..pending }, puts);
        }
    }

    /// Writes what is planned, notes its rooms, and says of each message what became of it.
    async fn write(&mut self) {
        let Batch { pending, rows, owners, .. } = std::mem::take(&mut self.batch);
        if pending.is_empty() {
            return;
        }
        let key = |put: &Put| put.condition.is_ordered().then(|| put.key.clone());
        let ordered: Vec<Option<Key>> = rows.iter().map(key).collect();
        let writes = self.ingest.write(rows, self.deadline);
        let written = match &self.ingest.room_index {
            Some(index) => {
                let rooms = pending.iter().filter_map(|message| {
                    Some((message.room.clone()?, self.records[message.record].received_at))
                });
                let (store, patience) = (&self.ingest.store, &mut self.patience);
                index.note_beside(store, rooms, patience, self.deadline, writes).await
            }
            None => writes.await,
        };
        for (index, message) in pending.iter().enumerate() {
            let rows = message.rows.iter().map(|&row| (owners[row] == index, &written[row]));
            settle(&mut self.reports[message.record], message, rows);
        }
        for Pending { record, rows, .. } in pending {
            let ordered = rows.into_iter().filter_map(|row| ordered[row].clone());
            self.reports[record].ordered_rows.extend(ordered);
        }
    }

    /// The report of the record being taken in.
    fn report(&mut self) -> &mut Report {
        self.reports.last_mut().expect("a record has a report before its messages")
    }
}

/// What messages ask for, puts to one row folded as they come.
#[derive(Default)]
struct Batch {
    pending: Vec<Pending>,
    rows: Vec<Put>,
    /// Row by key.
    by_key: HashMap<Key, usize>,
    /// Which message's put each row is: an index into `pending`.
    owners: Vec<usize>,
    /// Of the records that are in here whole.
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.rows.len() >= MOST_ROWS
            || self.pending.len() >= MOST_MESSAGES
            || self.bytes >= MOST_BYTES
    }

    fn add(&mut self, mut pending: Pending, puts: Vec<Put>) {
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

fn first_few<S: Serializer>(failed: &[Failure], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(failed.iter().take(NAMED_FAILURES))
}

/// Some failures in words, separated by semicolons; the rest are counted, and all of them are logged.
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
