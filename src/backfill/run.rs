//! One room's walk from its checkpoint to its receipt, page after page of Ably's history.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::join;
use tokio::time::Instant;

use crate::backfill::context::Backfill;
use crate::backfill::outcome::{Observer, WalkError, Walked};
use crate::backfill::page::Course;
use crate::backfill::progress::Progress;
use crate::backfill::receipt::{Receipt, Window};
use crate::backfill::walk::Walk;
use crate::chat::RoomName;
use crate::rest::{HistoryPage, history_query};
use crate::store::Document;
use crate::time::now;

/// How often a checkpoint is written, at most.
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(5);
/// Pages of a receipt; then the next begins. A page's part has about 300 bytes.
const PAGES_IN_RECEIPT: usize = 200;
/// How far before its checkpoint a walk goes on, in ms: times of messages may be out of the order
/// of their serials by less.
const OVERLAP: i64 = 60_000;
/// Pages in a row that bring nothing new, before the walk gives up: a history that turns in
/// circles.
const MAX_IDLE_PAGES: usize = 100;

impl Backfill {
    /// Walks a room's window, or what of it comes after the checkpoint of an earlier walk that was
    /// stopped. A checkpoint is identified by `origin`, in ms since the epoch: where the window
    /// began, for whoever asked for it, before part of it was done.
    ///
    /// # Errors
    /// When Ably or the table could not be asked. What was done so far, is done.
    pub async fn walk(
        &self,
        room: &RoomName,
        (window, origin): (Window, i64),
        observer: &dyn Observer,
    ) -> Result<Walked, WalkError> {
        let full = if self.is_full { "-full" } else { "" };
        let checkpoint = format!("{origin:015}#{}{full}", self.repair.word());
        let walk = Walk {
            backfill: self,
            room,
            checkpoint,
            scope: self.scope(),
            observer,
            failures: AtomicU64::new(0),
            is_noted: AtomicBool::new(false),
        };
        walk.run(self.within_retention(window)).await
    }
}

impl Walk<'_> {
    /// Walks a window to its end, from its checkpoint if there is one.
    pub(super) async fn run(&self, window: Window) -> Result<Walked, WalkError> {
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
                return Err(WalkError::of("Ably's history has pages without end"));
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
    async fn begin(&self, window: Window) -> Result<Progress, WalkError> {
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
    ) -> Result<(), WalkError> {
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

    /// The next page, unless the walk is to stop.
    async fn next(
        &self,
        query: Option<&str>,
        has_come_further: bool,
    ) -> Result<Option<HistoryPage>, WalkError> {
        let Some(query) = query else { return Ok(None) };
        self.unless_stopped(has_come_further, self.fetch(query)).await.transpose()
    }

    async fn fetch(&self, query: &str) -> Result<HistoryPage, WalkError> {
        Ok(self.backfill.rest.history(self.room, query).await?)
    }

    async fn save(&self, progress: &Progress) -> Result<(), WalkError> {
        if self.backfill.is_executed {
            let key = (self.room, Document::Checkpoint, &*self.checkpoint);
            let store = &self.backfill.store;
            store.put_document(key, &progress.saved(), progress.oldest).await?;
        }
        Ok(())
    }

    /// Ends a receipt in the middle of a window, and begins the next.
    async fn cut(&self, progress: Progress, walked: &mut Walked) -> Result<Progress, WalkError> {
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
    ) -> Result<(), WalkError> {
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
