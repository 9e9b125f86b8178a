//! One room's walk: page after page of Ably's history, compared with the table, mended, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::join;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::warn;

use crate::ably::{self, Fetched};
use crate::backfill::ask::Asked;
use crate::backfill::compare::{AtAbly, Compared, SETTLED_AFTER, is_edited};
use crate::backfill::progress::{Done, Progress};
use crate::backfill::receipt::{PageReceipt, Receipt, Tally, Window, digest};
use crate::backfill::scope::Scope;
use crate::backfill::{Backfill, Failure, Observer, Repair, Walked};
use crate::chat::{ChatMessage, RoomName, Serial};
use crate::logs::{KEPT_ASIDE, names};
use crate::rest::{Form, Page, history_query};
use crate::store::{Archived, Document, Put, RoomIndex};
use crate::time::now;

/// Messages that have versions beyond their first, for each of which Ably is asked once, in one chunk of
/// a page; at a pace of ten requests a second, a walk can stop within ten seconds.
const EDITED_IN_CHUNK: usize = 100;
/// Bytes of history in one chunk, whose rows are in memory with it.
const BYTES_IN_CHUNK: usize = 512 << 10;
/// How often a checkpoint is written, at most.
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(5);
/// Pages of a receipt; then the next begins. A page's part has some 300 bytes.
const PAGES_IN_RECEIPT: usize = 200;
/// How far before its checkpoint a walk goes on, in ms: times of messages may be out of the order of
/// their serials by less.
const OVERLAP: i64 = 60_000;
/// Pages in a row that bring nothing new, before the walk gives up: a history that turns in circles.
const MAX_IDLE_PAGES: usize = 100;
/// Messages of a page that may be out of order: each is stored, and costs the receipt.
const MAX_STRAGGLERS: usize = 10;
const OUT_OF_ORDER: &str =
    "stored, but out of order in Ably's history: no receipt can be made; try again";
/// A write is given up after this; the SDK has tried again by then.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// A message on a page of history.
pub(super) struct Listed {
    pub(super) fetched: Fetched,
    /// Its size there.
    bytes: usize,
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

/// Where in the history a walk is. Serials only ever grow; what comes again is known by that.
#[derive(Default)]
struct Course {
    /// The last message done by an earlier walk, which this one goes on from.
    resumed_at: Option<Serial>,
    /// The last page's messages.
    recent: BTreeSet<Serial>,
}

impl Course {
    fn has_come_further(&self, progress: &Progress) -> bool {
        progress.last() != self.resumed_at.as_ref()
    }
}

/// What comparing a chunk came to.
#[derive(Default)]
struct Gaps {
    tally: Tally,
    /// What mends it, by message.
    puts: Vec<(Serial, Put)>,
    /// Messages whose versions can be noted as settled, and their latest version.
    settles: Vec<(Serial, Serial)>,
}

impl Walk<'_> {
    /// Walks a window to its end, from its checkpoint if there is one.
    pub(super) async fn run(&self, window: Window) -> Result<Walked, Failure> {
        let mut progress = self.begin(window).await?;
        let mut walked = Walked { resumed: progress.whole(), ..Walked::default() };
        self.failures.store(progress.failures, Ordering::Relaxed);
        let resumed_at = progress.last().cloned();
        let mut course = Course { resumed_at, ..Course::default() };
        // One ms earlier: whichever reading of `start` is Ably's, the window's first is in it.
        let start = (window.from - 1).max(progress.position() - OVERLAP).max(0);
        let query = history_query(start, window.until);
        let Some(first) = self.unless_stopped(false, self.fetch(&query)).await else {
            return Ok(Walked { is_stopped: true, ..walked });
        };
        let (mut page, mut idle, mut saved_at) = (Some(first?), 0, Instant::now());
        while let Some(current) = page.take() {
            let (before, query) = (progress.last().cloned(), current.next.clone());
            let has_come_further = course.has_come_further(&progress);
            let (done, next) = join!(
                self.page(current, window, (&mut progress, &mut course)),
                self.next(query.as_deref(), has_come_further)
            );
            let is_done = done?;
            idle = if progress.last() == before.as_ref() { idle + 1 } else { 0 };
            if idle > MAX_IDLE_PAGES {
                return Err(Failure::of("Ably's history has pages without end"));
            }
            let has_come_further = course.has_come_further(&progress);
            // Not at the very end, where nothing is left to stop.
            let is_stopped = !is_done || query.is_some() && self.is_to_stop(has_come_further);
            progress.failures = self.failures();
            if has_come_further && (is_stopped || saved_at.elapsed() >= CHECKPOINT_PERIOD) {
                self.save(&progress).await?;
                saved_at = Instant::now();
            }
            if is_stopped {
                walked.is_stopped = true;
                break;
            }
            page = match (next?, &query) {
                // Given up for a wish to stop that came to nothing.
                (None, Some(query)) => Some(self.fetch(query).await?),
                (page, _) => page,
            };
            if page.is_some() && progress.done.len() >= PAGES_IN_RECEIPT {
                progress = self.cut(progress, &mut walked).await?;
            }
        }
        self.end(&progress, window.until, &mut walked).await?;
        Ok(walked)
    }

    /// The progress of an earlier walk, as far as it still holds; else none.
    async fn begin(&self, window: Window) -> Result<Progress, Failure> {
        let store = &self.backfill.store;
        if !self.backfill.is_executed {
            return Ok(Progress::begin(self.scope.clone(), window.from));
        }
        let kept: Option<Progress> =
            store.document(self.room, Document::Checkpoint, &self.checkpoint).await?;
        match kept.filter(|kept| kept.is_of(window, &self.scope)) {
            Some(mut kept) => {
                kept.check(store, self.room).await?;
                Ok(kept)
            }
            None => Ok(Progress::begin(self.scope.clone(), window.from)),
        }
    }

    async fn end(
        &self,
        progress: &Progress,
        until: i64,
        walked: &mut Walked,
    ) -> Result<(), Failure> {
        walked.failures = self.failures();
        walked.tally = progress.whole();
        if walked.is_stopped {
            return Ok(());
        }
        // First: a checkpoint that outlived its receipt would pass for a walk to go on with.
        let store = &self.backfill.store;
        if self.backfill.is_executed {
            store.remove_document(self.room, Document::Checkpoint, &self.checkpoint).await?;
        }
        if walked.failures > 0 {
            return Ok(());
        }
        // Whoever mistypes a room's name should not get a receipt for it.
        walked.is_unknown = walked.tally.messages == 0 && !store.knows(self.room).await?;
        if walked.is_unknown {
            return Ok(());
        }
        self.leave_receipt(progress, until, walked).await
    }

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self, serial: Option<&Serial>, reason: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.observer.failed(self.room, serial, reason);
    }

    /// Whether to stop: at once if somebody wishes it; for want of time only once a chunk is done,
    /// so that a walk that is resumed again and again still comes to its end.
    fn is_to_stop(&self, has_come_further: bool) -> bool {
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

    /// The next page, unless the walk is to stop.
    async fn next(
        &self,
        query: Option<&str>,
        has_come_further: bool,
    ) -> Result<Option<Page>, Failure> {
        let Some(query) = query else { return Ok(None) };
        self.unless_stopped(has_come_further, self.fetch(query)).await.transpose()
    }

    async fn fetch(&self, query: &str) -> Result<Page, Failure> {
        Ok(self.backfill.rest.history(self.room, query).await?)
    }

    /// Does a page, chunk by chunk; whether all of it, for it may be time to stop.
    async fn page(
        &self,
        mut page: Page,
        window: Window,
        (progress, course): (&mut Progress, &mut Course),
    ) -> Result<bool, Failure> {
        let asked_at = page.asked_at;
        // Its memory is counted until all of it is done.
        let mut listed = self.read_page(&mut page);
        // A page that repeats another, or part of it, brings nothing new. Ably's pages disagree whether
        // `end` belongs to the window.
        let (last, resumed_at) = (progress.last().cloned(), course.resumed_at.clone());
        let serials = listed.iter().map(|listed| listed.message().serial.clone()).collect();
        let recent = std::mem::replace(&mut course.recent, serials);
        listed.retain(|listed| {
            let ChatMessage { serial, timestamp, .. } = listed.message();
            let is_within = *timestamp == 0 || (window.from..window.until).contains(timestamp);
            is_within && !recent.contains(serial)
        });
        let known = listed.partition_point(|it| Some(&it.message().serial) <= resumed_at.as_ref());
        if !self.known(&listed[..known], asked_at).await? {
            return Ok(false);
        }
        listed.drain(..known);
        let new = listed.partition_point(|it| Some(&it.message().serial) <= last.as_ref());
        let (stragglers, new) = listed.split_at(new);
        if stragglers.len() > MAX_STRAGGLERS {
            return Err(Failure::of("Ably's history is not in the order that was asked for"));
        }
        for straggler in stragglers {
            // It is stored. Its place is within what a receipt covers already.
            self.chunk(std::slice::from_ref(straggler), asked_at, false).await?;
            self.refuse(Some(&straggler.message().serial), OUT_OF_ORDER);
        }
        let mut chunks = chunks(new).peekable();
        while let Some(chunk) = chunks.next() {
            let has_come_further = course.has_come_further(progress);
            let Some(mut done) = self.chunk(chunk, asked_at, has_come_further).await? else {
                return Ok(false);
            };
            done.position = done.position.max(progress.position());
            let mut times = chunk.iter().map(|listed| listed.message().timestamp);
            progress.oldest = progress.oldest.or_else(|| times.find(|time| *time > 0));
            progress.done.push(done);
            if chunks.peek().is_some() && self.is_to_stop(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks at messages of before the checkpoint again: one that was not there when their pages were
    /// done came out of order. Whether all of them were looked at.
    async fn known(&self, listed: &[Listed], asked_at: i64) -> Result<bool, Failure> {
        for chunk in chunks(listed) {
            let Some(done) = self.chunk(chunk, asked_at, false).await? else { return Ok(false) };
            // What a comparison leaves missing, it may have counted before it was stopped.
            let is_mended = self.backfill.repair != Repair::Nothing;
            if is_mended && done.tally.missing > done.tally.older {
                self.refuse(chunk.first().map(|it| &it.message().serial), OUT_OF_ORDER);
            }
        }
        Ok(true)
    }

    /// The messages of a page, in the order of their serials, each once.
    fn read_page(&self, page: &mut Page) -> Vec<Listed> {
        let mut listed = Vec::with_capacity(page.items.len());
        let mut odd: BTreeMap<Vec<&str>, (Serial, u64)> = BTreeMap::new();
        for item in std::mem::take(&mut page.items) {
            let read = match page.form {
                Form::Chat => ably::chat_message(&item, self.room).map(Some),
                Form::PubSub => {
                    let key = self.backfill.cipher_key.as_ref();
                    ably::pub_sub_message(&item, self.room, key)
                }
            };
            match read {
                Ok(Some(mut fetched)) => {
                    if !fetched.odd.is_empty() {
                        let members = std::mem::take(&mut fetched.odd);
                        let first = || (fetched.message.serial.clone(), 0);
                        odd.entry(members).or_insert_with(first).1 += 1;
                    }
                    listed.push(Listed { fetched, bytes: item.get().len() });
                }
                // Other messages may be on a channel, as they may come live.
                Ok(None) => {}
                Err(error) => self.refuse(serial_of(&item).as_ref(), &error.to_string()),
            }
        }
        for (members, (serial, messages)) in &odd {
            kept_aside(self.room, serial, members, *messages);
        }
        listed.sort_by(|one, other| one.message().serial.cmp(&other.message().serial));
        listed.dedup_by(|one, other| one.message().serial == other.message().serial);
        listed
    }

    /// Compares and mends messages that follow each other; `None` if the walk is to stop first.
    async fn chunk(
        &self,
        chunk: &[Listed],
        asked_at: i64,
        has_come_further: bool,
    ) -> Result<Option<Done>, Failure> {
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return Ok(None) };
        let range = (&first.message().serial, &last.message().serial);
        let (store, backfill) = (&self.backfill.store, self.backfill);
        let mut archive = store.read_range(self.room, range, false).await?;
        let asked = self.ask(chunk, &archive, range, asked_at);
        let Some(asked) = self.unless_stopped(has_come_further, asked).await else {
            return Ok(None);
        };
        let Asked { at_ably, annotations } = asked?;
        let Gaps { mut tally, mut puts, mut settles } =
            self.compare(&at_ably, &archive, backfill.repair, true);
        tally.annotations = annotations.len() as u64;
        tally.left += tally.annotations;
        let wanted: Vec<_> = annotations.iter().map(|it| it.key.clone()).collect();
        if backfill.repair != Repair::Nothing {
            tally.write_units += annotations.iter().map(|it| it.put.write_units()).sum::<u64>();
            puts.extend(annotations.into_iter().map(|it| (it.key.0, it.put)));
        }
        // The room's note is a write too.
        let has_index = backfill.room_index.is_some();
        if has_index && !puts.is_empty() && !self.is_noted.swap(true, Ordering::Relaxed) {
            tally.write_units += 1;
        }
        if backfill.is_executed && !puts.is_empty() {
            self.write(puts).await;
            archive = store.read_range(self.room, range, true).await?;
            // Mended is what is found so.
            let after = self.compare(&at_ably, &archive, Repair::Missing, false);
            let lacking = self.lacking(&wanted, range).await?;
            tally.repaired = tally.gaps().saturating_sub(after.tally.gaps() + lacking);
            tally.left = after.tally.left + lacking;
            tally.still_different = after.tally.still_different;
            settles = after.settles;
        }
        if backfill.is_executed {
            for (serial, latest) in &settles {
                let (_, digest) =
                    archive.get(serial).map(|it| it.digest(latest)).unwrap_or_default();
                store.note_versions_digest(self.room, (serial, latest), digest).await?;
            }
        }
        let as_of = asked_at - SETTLED_AFTER;
        let (rows, sha256) = digest(&archive, as_of);
        let (first, last) = (range.0.clone(), range.1.clone());
        let page = PageReceipt { first, last, as_of, rows, sha256 };
        let position = chunk.iter().map(|listed| listed.message().timestamp).max().unwrap_or(0);
        self.observer.progress(self.room, &tally);
        Ok(Some(Done { page, position, tally }))
    }

    /// What is wrong with each message, and what mends it.
    fn compare(
        &self,
        at_ably: &[AtAbly<'_>],
        archive: &BTreeMap<Serial, Archived>,
        repair: Repair,
        is_reported: bool,
    ) -> Gaps {
        let (mut gaps, nothing) = (Gaps::default(), Archived::default());
        for message in at_ably {
            let serial = message.serial();
            let archived = archive.get(serial).unwrap_or(&nothing);
            if let Some(reason) = archived.unreadable.first() {
                if is_reported {
                    self.refuse(Some(serial), reason);
                }
                continue;
            }
            match message.compare(&self.backfill.store, archived, repair) {
                Ok(Compared { tally, findings, puts, settles }) => {
                    gaps.tally.add(&tally);
                    gaps.puts.extend(puts.into_iter().map(|put| (serial.clone(), put)));
                    gaps.settles.extend(settles.map(|latest| (serial.clone(), latest)));
                    if is_reported {
                        findings.iter().for_each(|it| self.observer.finding(self.room, it));
                    }
                }
                Err(error) if is_reported => self.refuse(Some(serial), &error.to_string()),
                Err(_) => {}
            }
        }
        gaps
    }

    /// Writes rows, with the rooms that are walked beside this one in turn, and notes the room: one
    /// that lost everything is in no index.
    async fn write(&self, puts: Vec<(Serial, Put)>) {
        let (serials, puts): (Vec<_>, Vec<_>) = puts.into_iter().unzip();
        let _turn = self.backfill.writes.acquire().await;
        let (backfill, deadline) = (self.backfill, Instant::now() + WRITE_TIME);
        let writes = backfill.store.write_all(puts, deadline);
        let written = match &backfill.room_index {
            Some(index) => {
                let room = std::iter::once((self.room.clone(), now()));
                let mut patience = RoomIndex::PATIENCE;
                index.note_beside(&backfill.store, room, &mut patience, deadline, writes).await
            }
            None => writes.await,
        };
        for (serial, written) in serials.iter().zip(written) {
            if let Err(error) = written {
                self.refuse(Some(serial), &error.to_string());
            }
        }
    }

    async fn save(&self, progress: &Progress) -> Result<(), Failure> {
        if self.backfill.is_executed {
            let key = (self.room, Document::Checkpoint, &*self.checkpoint);
            let store = &self.backfill.store;
            store.put_document(key, &progress.saved(), progress.oldest).await?;
        }
        Ok(())
    }

    /// Ends a receipt in the middle of a window, and begins the next.
    async fn cut(&self, progress: Progress, walked: &mut Walked) -> Result<Progress, Failure> {
        // Times may be out of the order of serials: what is just below may be on the next page.
        let until = (progress.position() - OVERLAP).max(progress.from);
        if progress.failures == 0 {
            self.leave_receipt(&progress, until, walked).await?;
        }
        let next = progress.next(until);
        self.save(&next).await?;
        Ok(next)
    }

    async fn leave_receipt(
        &self,
        progress: &Progress,
        until: i64,
        walked: &mut Walked,
    ) -> Result<(), Failure> {
        if progress.done.is_empty() && !self.backfill.leaves_empty_receipts {
            return Ok(());
        }
        let receipt = Receipt {
            room: self.room.clone(),
            from: progress.from,
            until,
            scope: self.scope.clone(),
            tally: progress.tally(),
            sha256: String::new(),
            tool: env!("CARGO_PKG_VERSION").into(),
            started_at: progress.started_at,
            finished_at: now(),
            pages: progress.pages(),
        };
        let (receipt, store) = (receipt.sealed(), &self.backfill.store);
        walked.receipt_units += store.document_write_units(self.room, &receipt);
        if self.backfill.is_executed {
            let key = (self.room, Document::Receipt, &*receipt.name());
            store.put_document(key, &receipt, progress.oldest.or(Some(until))).await?;
        }
        // Receipts of which this one has seen everything again.
        for earlier in self.backfill.receipts(self.room).await? {
            if receipt.supersedes_all_of(&earlier) && earlier.name() != receipt.name() {
                walked.receipt_units += store.document_write_units(self.room, &earlier);
                if self.backfill.is_executed {
                    let name = earlier.name();
                    store.remove_document(self.room, Document::Receipt, &name).await?;
                }
            }
        }
        walked.receipts.push(receipt);
        Ok(())
    }
}

/// Cuts a page where it would need too many requests, or too much memory.
fn chunks(listed: &[Listed]) -> impl Iterator<Item = &[Listed]> {
    let mut rest = listed;
    std::iter::from_fn(move || {
        let (mut edited, mut bytes) = (0, 0);
        let end = rest.iter().position(|listed| {
            let is_first = bytes == 0;
            edited += usize::from(is_edited(&listed.fetched));
            bytes += listed.bytes;
            !is_first && (edited > EDITED_IN_CHUNK || bytes > BYTES_IN_CHUNK)
        });
        let (chunk, more) = rest.split_at(end.unwrap_or(rest.len()));
        rest = more;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// The serial of a message that cannot be read otherwise.
fn serial_of(item: &RawValue) -> Option<Serial> {
    #[derive(Deserialize)]
    struct Named {
        serial: Serial,
    }
    serde_json::from_str::<Named>(item.get()).ok().map(|named| named.serial)
}

/// Logs members that are kept aside on a page of history: a set of them, with the number of
/// messages and the first of them.
fn kept_aside(room: &RoomName, serial: &Serial, members: &[&str], messages: u64) {
    let (room, serial) = names(Some(room), Some(serial));
    warn!(room, serial, members = members.join(" "), messages, "{KEPT_ASIDE}");
}
