//! Messages that follow each other: compared with the table, repaired, compared again.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::backfill::ask::Asked;
use crate::backfill::compare::{AtAbly, Compared, SETTLED_AFTER};
use crate::backfill::context::Repair;
use crate::backfill::outcome::WalkError;
use crate::backfill::progress::Done;
use crate::backfill::receipt::{PageReceipt, Tally, digest};
use crate::backfill::walk::{Listed, Walk};
use crate::chat::Serial;
use crate::store::{Archived, Put, RoomIndex};
use crate::time::now;

/// A write is given up after this; the SDK has tried again by then.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// What comparing a chunk came to.
#[derive(Default)]
struct Gaps {
    tally: Tally,
    /// What repairs it, by message.
    puts: Vec<(Serial, Put)>,
    /// Messages whose versions can be noted as settled, and their latest version.
    settles: Vec<(Serial, Serial)>,
}

impl Walk<'_> {
    /// Compares and repairs messages that follow each other; `None` if the walk is to stop first.
    pub(super) async fn chunk(
        &self,
        chunk: &[Listed],
        asked_at: i64,
        has_come_further: bool,
    ) -> Result<Option<Done>, WalkError> {
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
            // Repaired is what is found so.
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

    /// What is wrong with each message, and what repairs it.
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
}
