//! From a body to rows: decode each record, plan its puts, store them batch by batch, and report on
//! each record. Knows no event source.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ably::{Body, Decoder, Entry, PayloadError, Skip, Verdict};
use crate::chat::{ChatEvent, RoomName};
use crate::ingest::batch::{Batch, Pending, report_message};
use crate::ingest::filter::RoomFilter;
use crate::ingest::outcome::{Failure, Report};
use crate::store::{Key, Observation, Put, RoomIndex, Store};

/// One delivered body.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What the event source repeats when it redelivers the record.
    pub id: &'a str,
    /// The payload as Ably made it.
    pub body: &'a [u8],
    /// When it arrived, in ms since the epoch.
    pub received_at: i64,
    /// Whether it was handed over before.
    pub is_redelivery: bool,
}

/// Stores records: decodes bodies and writes rows.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Reads bodies.
    pub decoder: Decoder,
    /// Writes rows.
    pub store: Store,
    /// Rooms to keep; `None` keeps all.
    pub room_filter: Option<RoomFilter>,
    /// Where rooms are noted; `None` notes none.
    pub room_index: Option<Arc<RoomIndex>>,
}

impl Sink {
    /// Stores records, and reports on each of them in their order. What is not written by
    /// `deadline` fails transiently.
    pub async fn store_records(&self, records: &[Record<'_>], deadline: Instant) -> Vec<Report> {
        let mut run = Run::new(self, records, deadline);
        for record in records {
            run.add(*record).await;
        }
        run.store_batch().await;
        run.reports
    }

    /// Whether `ROOM_FILTER` keeps the room.
    #[must_use]
    pub fn keeps(&self, room: &RoomName) -> bool {
        self.room_filter.as_ref().is_none_or(|filter| filter.keeps(room))
    }

    /// What one entry asks to be written; nothing if it is skipped or refused.
    fn plan(
        &self,
        entry: Entry,
        observation: Observation<'_>,
        report: &mut Report,
    ) -> Option<(Pending, Vec<Put>)> {
        let Entry { item, room, serial, verdict, encoding_lost, odd, .. } = entry;
        let event = match verdict {
            Verdict::Skip(skip) => return report.skip(skip),
            _ if room.as_ref().is_some_and(|room| !self.keeps(room)) => {
                return report.skip(Skip::RoomFilter);
            }
            Verdict::Event(ChatEvent::Reactions(_)) if !self.store.keeps_reactions() => {
                return report.skip(Skip::ReactionsOff);
            }
            Verdict::Fail(error) => {
                report.failed.push(Failure::refused(room, serial, &error, item));
                return None;
            }
            Verdict::Event(event) => event,
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
}

/// Records on their way, as many of their messages at once as memory should hold.
struct Run<'a> {
    sink: &'a Sink,
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
    fn new(sink: &'a Sink, records: &'a [Record<'a>], deadline: Instant) -> Self {
        let (reports, batch) = (Vec::with_capacity(records.len()), Batch::default());
        let patience = RoomIndex::PATIENCE;
        Self { sink, records, deadline, reports, batch, patience }
    }

    /// Plans what a record asks for, and writes whenever that has become much.
    async fn add(&mut self, record: Record<'_>) {
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
        let entries = match self.sink.decoder.entries(&body) {
            Ok(entries) => entries,
            Err(error) => return *self.report() = unreadable(error),
        };
        for entry in entries {
            if self.batch.is_full() {
                self.store_batch().await;
                if Instant::now() >= self.deadline {
                    return self.report().not_begun();
                }
            }
            self.plan(entry, record);
        }
        self.batch.bytes += record.body.len();
        if self.batch.is_full() {
            self.store_batch().await;
        }
    }

    fn plan(&mut self, entry: Entry, record: Record<'_>) {
        let delivery = match (&entry.delivery, entry.item) {
            (Some(serial), _) => format!("{serial}.{}", entry.index),
            (None, Some(item)) => format!("{}.{item}.{}", record.id, entry.index),
            (None, None) => format!("{}.{}", record.id, entry.index),
        };
        let Record { received_at, is_redelivery, .. } = record;
        let observation = Observation { delivery: Some(&delivery), received_at, is_redelivery };
        self.report().received += 1;
        let number = self.reports.len() - 1;
        if let Some((pending, puts)) = self.sink.plan(entry, observation, self.report()) {
            self.batch.add(Pending { record: number, ..pending }, puts);
        }
    }

    /// Writes what is planned, notes its rooms, and says of each message what became of it.
    async fn store_batch(&mut self) {
        let Batch { pending, rows, owners, .. } = std::mem::take(&mut self.batch);
        if pending.is_empty() {
            return;
        }
        let key = |put: &Put| put.condition.is_ordered().then(|| put.key.clone());
        let ordered: Vec<Option<Key>> = rows.iter().map(key).collect();
        let writes = self.sink.store.write_all(rows, self.deadline);
        let written = match &self.sink.room_index {
            Some(index) => {
                let rooms = pending.iter().filter_map(|message| {
                    Some((message.room.clone()?, self.records[message.record].received_at))
                });
                let (store, patience) = (&self.sink.store, &mut self.patience);
                index.note_beside(store, rooms, patience, self.deadline, writes).await
            }
            None => writes.await,
        };
        for (index, message) in pending.iter().enumerate() {
            let rows = message.rows.iter().map(|&row| (owners[row] == index, &written[row]));
            report_message(&mut self.reports[message.record], message, rows);
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
