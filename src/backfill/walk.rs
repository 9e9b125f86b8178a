//! One room's walk: page after page of Ably's history, compared with the table, mended, counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, join, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::ably::{self, Fetched};
use crate::backfill::compare::{AtAbly, Compared, LAG, is_edited};
use crate::backfill::receipt::{PageReceipt, Receipt, Tally, Window, digest, sha256_of, word};
use crate::backfill::{Backfill, Failure, Repair, Report, Walked};
use crate::chat::{ChatMessage, RoomName, Serial};
use crate::rest::{Page, Versions as Items, history_query};
use crate::store::{Archived, Document, Observation, Put, Versions};
use crate::time::now;

/// Messages that have versions beyond their first, for each of which Ably is asked once, in one chunk of
/// a page; at a pace of ten requests a second, a walk can stop within ten seconds.
const EDITED_IN_CHUNK: usize = 100;
/// Such requests on their way at once.
const CONCURRENCY: usize = 16;
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
/// A write is given up after this; the SDK has tried again by then.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// How far a walk has come: everything under it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    /// The window's first ms.
    from: i64,
    /// When the last message done was created: ms since the epoch.
    position: i64,
    /// The last message done.
    last: Option<Serial>,
    /// When the first message seen was created.
    oldest: Option<i64>,
    tally: Tally,
    pages: Vec<PageReceipt>,
    started_at: i64,
}

/// What of a page is there to be done.
type Chunk<'a> = &'a [Fetched];

/// A walk on its way.
pub(super) struct Walk<'a> {
    pub(super) backfill: &'a Backfill,
    pub(super) room: &'a RoomName,
    /// The checkpoint's name.
    pub(super) checkpoint: String,
    pub(super) report: &'a dyn Report,
}

/// Where in the history a walk is. Serials only ever grow; what comes again is told by that.
#[derive(Default)]
struct Course {
    /// The last message done by an earlier walk, which this one goes on from.
    resumed_at: Option<Serial>,
    /// The last page's messages.
    recent: BTreeSet<Serial>,
}

/// What comparing a chunk came to.
#[derive(Default)]
struct Gaps {
    tally: Tally,
    /// What mends it, by message.
    puts: Vec<(Serial, Put)>,
    /// Versions whose rows are there, to be noted on them how many the message has.
    settles: Vec<(Serial, Serial, usize)>,
}

impl Walk<'_> {
    /// Walks a window to its end, from its checkpoint if there is one.
    pub(super) async fn run(&self, window: Window) -> Result<Walked, Failure> {
        let begun = Progress {
            from: window.from,
            position: window.from,
            started_at: now(),
            ..Progress::default()
        };
        let store = &self.backfill.ingest.store;
        let kept: Option<Progress> =
            store.document(self.room, Document::Checkpoint, &self.checkpoint).await?;
        let kept = kept.filter(|kept| (window.from..window.until).contains(&kept.position));
        let mut progress = kept.unwrap_or(begun);
        let resumed_at = progress.last.clone();
        let mut course = Course { resumed_at, ..Course::default() };
        let mut walked = Walked::default();
        // One ms earlier: whichever reading of `start` is Ably's, the window's first is in it.
        let start = (window.from - 1).max(progress.position - OVERLAP).max(0);
        let query = history_query(start, window.until);
        let (mut page, mut idle, mut saved_at) =
            (Some(self.fetch(&query).await?), 0, Instant::now());
        while let Some(current) = page.take() {
            let before = progress.last.clone();
            let (done, next) = join!(
                self.page(&current, window, (&mut progress, &mut course), &mut walked),
                self.next(&current)
            );
            let is_done = done?;
            idle = if progress.last == before { idle + 1 } else { 0 };
            if idle > MAX_IDLE_PAGES {
                return Err(Failure::of("Ably's history has pages without end"));
            }
            // Not before it has come further, and not at the very end, where nothing is left to stop.
            let is_stopped = self.backfill.stop.is_due()
                && progress.last != course.resumed_at
                && (!is_done || current.next.is_some());
            if walked.failures == 0 && (is_stopped || saved_at.elapsed() >= CHECKPOINT_PERIOD) {
                self.save(&progress).await?;
                saved_at = Instant::now();
            }
            if is_stopped {
                walked.is_stopped = true;
                return Ok(walked);
            }
            page = match (next?, &current.next) {
                // Given up for a wish to stop that came to nothing.
                (None, Some(query)) => Some(self.fetch(query).await?),
                (page, _) => page,
            };
            if page.is_some() && progress.pages.len() >= PAGES_IN_RECEIPT && walked.failures == 0 {
                progress = self.cut(progress, &mut walked).await?;
            }
        }
        if walked.failures == 0 {
            // First: a checkpoint that outlived its receipt would pass for a walk to go on with.
            if self.backfill.is_executed {
                let name = &self.checkpoint;
                store.remove_document(self.room, Document::Checkpoint, name).await?;
            }
            self.leave_receipt(&progress, window.until, &mut walked).await?;
        }
        Ok(walked)
    }

    /// The next page, unless the walk is to stop.
    async fn next(&self, current: &Page) -> Result<Option<Page>, Failure> {
        let Some(query) = &current.next else { return Ok(None) };
        tokio::select! {
            page = self.fetch(query) => page.map(Some),
            () = self.backfill.stop.wanted() => Ok(None),
        }
    }

    async fn fetch(&self, query: &str) -> Result<Page, Failure> {
        Ok(self.backfill.rest.history(self.room, query).await?)
    }

    /// Does a page, chunk by chunk; whether all of it, for it may be time to stop.
    async fn page(
        &self,
        page: &Page,
        window: Window,
        (progress, course): (&mut Progress, &mut Course),
        walked: &mut Walked,
    ) -> Result<bool, Failure> {
        let mut fetched = self.read_page(page, walked);
        // A page that repeats another, or part of it, brings nothing new. Ably's pages disagree whether
        // `end` belongs to the window.
        let (last, resumed_at) = (progress.last.clone(), course.resumed_at.clone());
        let serials = fetched.iter().map(|fetched| fetched.message.serial.clone()).collect();
        let recent = std::mem::replace(&mut course.recent, serials);
        fetched.retain(|Fetched { message, .. }| {
            let time = message.timestamp;
            let is_known = Some(&message.serial) <= resumed_at.as_ref();
            let is_within = time == 0 || (window.from..window.until).contains(&time);
            is_within && !is_known && !recent.contains(&message.serial)
        });
        let new = fetched.partition_point(|it| Some(&it.message.serial) <= last.as_ref());
        let (stragglers, new) = fetched.split_at(new);
        if stragglers.len() > MAX_STRAGGLERS {
            return Err(Failure::of("Ably's history is not in the order that was asked for"));
        }
        for straggler in stragglers {
            // It is stored. Its place is within what a receipt covers already.
            self.chunk(std::slice::from_ref(straggler), page.asked_at, progress, walked).await?;
            walked.failures += 1;
            let reason =
                "stored, but out of order in Ably's history: no receipt can be made; try again";
            self.report.failed(self.room, Some(&straggler.message.serial), reason);
        }
        let mut chunks = chunks(new).peekable();
        while let Some(chunk) = chunks.next() {
            self.chunk(chunk, page.asked_at, progress, walked).await?;
            let last = chunk.last().map(|fetched| &fetched.message);
            progress.last = last.map(|last| last.serial.clone());
            let latest = chunk.iter().map(|fetched| fetched.message.timestamp).max();
            progress.position = progress.position.max(latest.unwrap_or(0));
            // Looked for only now, so that a walk always comes a chunk further.
            if chunks.peek().is_some() && self.backfill.stop.is_due() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The messages of a page, in the order of their serials, each once.
    fn read_page(&self, page: &Page, walked: &mut Walked) -> Vec<Fetched> {
        let mut fetched = Vec::with_capacity(page.items.len());
        for item in &page.items {
            match ably::chat_message(item, self.room) {
                Ok(message) => fetched.push(message),
                Err(error) => {
                    walked.failures += 1;
                    self.report.failed(self.room, serial_of(item).as_ref(), &error.to_string());
                }
            }
        }
        fetched.sort_by(|one, other| one.message.serial.cmp(&other.message.serial));
        fetched.dedup_by(|one, other| one.message.serial == other.message.serial);
        fetched
    }

    /// Compares and mends messages that follow each other.
    async fn chunk(
        &self,
        chunk: Chunk<'_>,
        asked_at: i64,
        progress: &mut Progress,
        walked: &mut Walked,
    ) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return Ok(()) };
        let range = (&first.message.serial, &last.message.serial);
        let (store, backfill) = (&self.backfill.ingest.store, self.backfill);
        let mut archive = store.archive(self.room, range, false).await?;
        let failures = Mutex::new(0);
        let refuse = |serial: &Serial, reason: &str| {
            *failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
            self.report.failed(self.room, Some(serial), reason);
        };
        let histories = self.histories(chunk, &archive, &refuse).await?;
        let Gaps { mut tally, mut puts, settles } =
            self.gaps(chunk, &archive, histories, asked_at, &refuse);
        if backfill.annotations {
            let found = self.annotations(chunk, range, &refuse).await?;
            tally.annotations = found.len() as u64;
            if backfill.repair != Repair::Nothing {
                tally.write_units += found.iter().map(|(_, put)| put.write_units()).sum::<u64>();
                puts.extend(found);
            }
        }
        if backfill.is_executed && !(puts.is_empty() && settles.is_empty()) {
            self.write(puts, &refuse).await;
            for (serial, version, count) in settles {
                store.settle(self.room, (&serial, &version), count).await?;
            }
            archive = store.archive(self.room, range, true).await?;
            let different = if backfill.repair == Repair::All { tally.different } else { 0 };
            tally.repaired = tally.missing + different + tally.reactions + tally.annotations;
        }
        let failed = failures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        walked.failures += failed;
        let as_of = asked_at - LAG;
        let (rows, sha256) = digest(&archive, as_of);
        let (first, last) = (range.0.clone(), range.1.clone());
        progress.pages.push(PageReceipt { first, last, as_of, rows, sha256 });
        progress.tally.add(&tally);
        let mut times = chunk.iter().map(|fetched| fetched.message.timestamp);
        progress.oldest = progress.oldest.or_else(|| times.find(|time| *time > 0));
        walked.tally.add(&tally);
        self.report.progress(self.room, &tally);
        Ok(())
    }

    /// What is wrong with each message, which is reported, and what mends it.
    fn gaps(
        &self,
        chunk: Chunk<'_>,
        archive: &BTreeMap<Serial, Archived>,
        mut histories: HashMap<Serial, Vec<ChatMessage>>,
        asked_at: i64,
        refuse: &(dyn Fn(&Serial, &str) + Sync),
    ) -> Gaps {
        let (mut gaps, nothing) = (Gaps::default(), Archived::default());
        let has_versions = self.backfill.ingest.store.settings().versions != Versions::Latest;
        for fetched in chunk {
            let serial = &fetched.message.serial;
            let archived = archive.get(serial).unwrap_or(&nothing);
            let history = histories.remove(serial);
            let settled = match &history {
                None if has_versions && is_edited(fetched) => {
                    archived.settled(&fetched.message.version.serial)
                }
                _ => None,
            };
            let at_ably = at_ably(fetched, history, settled, asked_at);
            match at_ably.compare(&self.backfill.ingest.store, archived, self.backfill.repair) {
                Ok(Compared { tally, findings, puts, settle }) => {
                    gaps.tally.add(&tally);
                    gaps.puts.extend(puts.into_iter().map(|put| (serial.clone(), put)));
                    let settle = settle.map(|(version, count)| (serial.clone(), version, count));
                    gaps.settles.extend(settle);
                    findings.iter().for_each(|finding| self.report.finding(self.room, finding));
                }
                Err(error) => refuse(serial, &error.to_string()),
            }
        }
        gaps
    }

    /// All versions of those messages that have more than one, where the table does not know already
    /// that it has them all.
    async fn histories(
        &self,
        chunk: Chunk<'_>,
        archive: &BTreeMap<Serial, Archived>,
        refuse: &(dyn Fn(&Serial, &str) + Sync),
    ) -> Result<HashMap<Serial, Vec<ChatMessage>>, Failure> {
        if self.backfill.ingest.store.settings().versions == Versions::Latest {
            return Ok(HashMap::new());
        }
        let wanted = chunk.iter().filter(|fetched| is_edited(fetched)).filter(|fetched| {
            let archived = archive.get(&fetched.message.serial);
            archived.is_none_or(|found| found.settled(&fetched.message.version.serial).is_none())
        });
        let serials: Vec<_> = wanted.map(|fetched| fetched.message.serial.clone()).collect();
        let histories = stream::iter(serials)
            .map(|serial| async move {
                let items = self.backfill.rest.versions(self.room, &serial).await;
                (serial, items)
            })
            .buffer_unordered(CONCURRENCY);
        let mut found = HashMap::new();
        let mut histories = std::pin::pin!(histories);
        while let Some((serial, items)) = histories.next().await {
            match items {
                Ok(items) => match self.read(items, &serial) {
                    Ok(versions) => drop(found.insert(serial, versions)),
                    Err(reason) => refuse(&serial, &reason),
                },
                Err(error) if error.is_of_key() => return Err(error.into()),
                Err(error) => refuse(&serial, &error.to_string()),
            }
        }
        Ok(found)
    }

    fn read(&self, items: Items, serial: &Serial) -> Result<Vec<ChatMessage>, String> {
        let key = self.backfill.ingest.decoder.cipher_key.as_ref();
        let versions: Result<Vec<_>, _> = match items {
            Items::Chat(items) => {
                items.iter().map(|item| ably::chat_message(item, self.room).map(Some)).collect()
            }
            Items::PubSub(items) => {
                items.iter().map(|item| ably::pub_sub_message(item, self.room, key)).collect()
            }
        };
        let versions = versions.map_err(|error| format!("among its versions, {error}"))?;
        let versions: Vec<_> = versions.into_iter().flatten().map(|it| it.message).collect();
        if versions.iter().any(|version| version.serial != *serial) {
            return Err("among its versions is one of another message".into());
        }
        Ok(versions)
    }

    /// Individual reactions that the table does not hold, of the messages that have reactions.
    async fn annotations(
        &self,
        chunk: Chunk<'_>,
        range: (&Serial, &Serial),
        refuse: &(dyn Fn(&Serial, &str) + Sync),
    ) -> Result<Vec<(Serial, Put)>, Failure> {
        let (store, room) = (&self.backfill.ingest.store, self.room);
        let known: BTreeSet<(Serial, Serial)> = store.annotations(room, range).await?;
        let has_reactions = |fetched: &&Fetched| {
            fetched.reactions.as_ref().is_some_and(|reactions| *reactions != Default::default())
        };
        let messages: Vec<_> =
            chunk.iter().filter(has_reactions).map(|fetched| fetched.message.clone()).collect();
        let fetched: Vec<_> = stream::iter(messages)
            .map(|message| async move {
                let items = self.backfill.rest.annotations(room, &message.serial).await;
                (message, items)
            })
            .buffer_unordered(CONCURRENCY)
            .map(Ok::<_, Failure>)
            .try_collect()
            .await?;
        let mut puts = Vec::new();
        for (message, items) in fetched {
            let items = match items {
                Ok(items) => items,
                Err(error) if error.is_of_key() => return Err(error.into()),
                Err(error) => {
                    refuse(&message.serial, &error.to_string());
                    continue;
                }
            };
            for item in items {
                let observation = Observation { delivery: None, received_at: now() };
                let put = ably::annotation(&item, room, &message.serial)
                    .map_err(|error| format!("among its annotations, {error}"))
                    .map(|it| {
                        (
                            it.serial.clone(),
                            store.plan_annotation(&it, message.timestamp, observation),
                        )
                    });
                match put {
                    Ok((serial, Ok(put))) => {
                        if !known.contains(&(message.serial.clone(), serial)) {
                            puts.push((message.serial.clone(), put));
                        }
                    }
                    Ok((_, Err(error))) => refuse(&message.serial, &error.to_string()),
                    Err(reason) => refuse(&message.serial, &reason),
                }
            }
        }
        Ok(puts)
    }

    /// Writes rows, with the rooms that are walked beside this one in turn.
    async fn write(&self, puts: Vec<(Serial, Put)>, refuse: &(dyn Fn(&Serial, &str) + Sync)) {
        let (serials, puts): (Vec<_>, Vec<_>) = puts.into_iter().unzip();
        let _turn = self.backfill.writes.acquire().await;
        let written = self.backfill.ingest.write(puts, Instant::now() + WRITE_TIME).await;
        for (serial, written) in serials.iter().zip(written) {
            if let Err(error) = written {
                refuse(serial, &error.to_string());
            }
        }
    }

    async fn save(&self, progress: &Progress) -> Result<(), Failure> {
        if self.backfill.is_executed {
            let key = (self.room, Document::Checkpoint, &*self.checkpoint);
            self.backfill.ingest.store.put_document(key, progress, progress.oldest).await?;
        }
        Ok(())
    }

    /// Ends a receipt in the middle of a window, and begins the next.
    async fn cut(&self, progress: Progress, walked: &mut Walked) -> Result<Progress, Failure> {
        let position = progress.position;
        self.leave_receipt(&progress, position, walked).await?;
        let (from, last, started_at) = (position, progress.last, now());
        let begun = Progress { from, position, last, started_at, ..Progress::default() };
        self.save(&begun).await?;
        Ok(begun)
    }

    async fn leave_receipt(
        &self,
        progress: &Progress,
        until: i64,
        walked: &mut Walked,
    ) -> Result<(), Failure> {
        if progress.pages.is_empty() && !self.backfill.leaves_empty_receipts {
            return Ok(());
        }
        let store = &self.backfill.ingest.store;
        let receipt = Receipt {
            room: self.room.clone(),
            from: progress.from,
            until,
            tally: progress.tally,
            sha256: sha256_of(&progress.pages),
            versions_setting: word(store.settings().versions).into(),
            tool: env!("CARGO_PKG_VERSION").into(),
            started_at: progress.started_at,
            finished_at: now(),
            pages: progress.pages.clone(),
        };
        walked.receipt_units += store.document_write_units(self.room, &receipt);
        if self.backfill.is_executed {
            let key = (self.room, Document::Receipt, &*receipt.name());
            store.put_document(key, &receipt, progress.oldest.or(Some(until))).await?;
        }
        walked.receipts.push(receipt);
        Ok(())
    }
}

/// A message at Ably, with all its versions where they were asked for.
fn at_ably<'a>(
    fetched: &'a Fetched,
    history: Option<Vec<ChatMessage>>,
    settled: Option<usize>,
    asked_at: i64,
) -> AtAbly<'a> {
    let latest = fetched.message.clone();
    let is_whole = history.is_some();
    // The latest is looked at all the same.
    let settled = settled.map_or(0, |count| count.saturating_sub(1));
    // An edit that the list does not show yet, or the page did not.
    let mut versions: BTreeMap<Serial, ChatMessage> =
        history.into_iter().flatten().map(|it| (it.version.serial.clone(), it)).collect();
    versions.insert(latest.version.serial.clone(), latest);
    let (versions, reactions) = (versions.into_values().collect(), fetched.reactions.as_ref());
    AtAbly { versions, settled, is_whole, reactions, asked_at }
}

/// Cuts a page where it would need too many requests.
fn chunks(fetched: &[Fetched]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = fetched;
    std::iter::from_fn(move || {
        let mut edited = 0;
        let end = rest.iter().position(|fetched| {
            edited += usize::from(is_edited(fetched));
            edited > EDITED_IN_CHUNK
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
