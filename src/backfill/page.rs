//! A page of Ably's history: read, cut into chunks, each done in turn.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::warn;

use crate::ably;
use crate::backfill::compare::is_edited;
use crate::backfill::context::Repair;
use crate::backfill::outcome::WalkError;
use crate::backfill::progress::Progress;
use crate::backfill::receipt::Window;
use crate::backfill::walk::{Listed, Walk};
use crate::chat::{ChatMessage, RoomName, Serial};
use crate::logs::{KEPT_ASIDE, names};
use crate::rest::{Form, HistoryPage};

/// Messages that have versions beyond their first, for each of which Ably is asked once, in one
/// chunk of a page; at a pace of ten requests a second, a walk can stop within ten seconds.
const EDITED_IN_CHUNK: usize = 100;
/// Bytes of history in one chunk, whose rows are in memory with it.
const BYTES_IN_CHUNK: usize = 512 << 10;
/// Messages of a page that may be out of order: each is stored, and costs the receipt.
const MAX_STRAGGLERS: usize = 10;
const OUT_OF_ORDER: &str =
    "stored, but out of order in Ably's history: no receipt can be made; try again";

/// Where in the history a walk is. Serials only ever grow; what comes again is known by that.
#[derive(Default)]
pub(super) struct Course {
    /// The last message done by an earlier walk, which this one goes on from.
    pub(super) resumed_at: Option<Serial>,
    /// The last page's messages.
    pub(super) recent: BTreeSet<Serial>,
}

impl Course {
    pub(super) fn has_come_further(&self, progress: &Progress) -> bool {
        progress.last() != self.resumed_at.as_ref()
    }
}

impl Walk<'_> {
    /// Does a page, chunk by chunk; whether all of it, for it may be time to stop.
    pub(super) async fn page(
        &self,
        mut page: HistoryPage,
        window: Window,
        (progress, course): (&mut Progress, &mut Course),
    ) -> Result<bool, WalkError> {
        let asked_at = page.asked_at;
        // Its memory is counted until all of it is done.
        let mut listed = self.read_page(&mut page);
        // A page that repeats another, or part of it, brings nothing new. Ably's pages disagree
        // whether `end` belongs to the window.
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
            return Err(WalkError::of("Ably's history is not in the order that was asked for"));
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

    /// Looks at messages of before the checkpoint again: one that was not there when their pages
    /// were done came out of order. Whether all of them were looked at.
    async fn known(&self, listed: &[Listed], asked_at: i64) -> Result<bool, WalkError> {
        for chunk in chunks(listed) {
            let Some(done) = self.chunk(chunk, asked_at, false).await? else { return Ok(false) };
            // What a comparison leaves missing, it may have counted before it was stopped.
            let is_repaired = self.backfill.repair != Repair::Nothing;
            if is_repaired && done.tally.missing > done.tally.older {
                self.refuse(chunk.first().map(|it| &it.message().serial), OUT_OF_ORDER);
            }
        }
        Ok(true)
    }

    /// The messages of a page, in the order of their serials, each once.
    fn read_page(&self, page: &mut HistoryPage) -> Vec<Listed> {
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
