//! Receipts: what of a room and window was seen at Ably and is in the table, in a form that the
//! table alone can be held against later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backfill::scope::Scope;
use crate::chat::{RoomName, Serial};
use crate::store::{
    Archived, Direction, Document, Store, StoreError, UnreadableDocument, VersionsDigest,
    differences, hex, version_line,
};

/// Part of time: from, included, until, not included; ms since the epoch, by the time at which
/// messages were created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first ms.
    pub from: i64,
    /// The ms after the last.
    pub until: i64,
}

/// What was counted on a walk. Versions are `(serial, version.serial)` keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Messages seen at Ably.
    pub messages: u64,
    /// Versions seen at Ably; with `VERSIONS=latest`, the latest of each message.
    pub versions: u64,
    /// Versions of these that the table held.
    pub found: u64,
    /// Versions that it did not hold, or not in every row that `VERSIONS` asks for.
    pub missing: u64,
    /// Messages of which it held only older versions.
    pub older: u64,
    /// Versions of which it held another record than Ably's.
    pub different: u64,
    /// Messages of which it held other reactions than Ably's, or none.
    pub reactions: u64,
    /// Individual reactions (`--annotations`) that it did not hold.
    pub annotations: u64,
    /// Of all these gaps, those that are none any more: repaired, and found so.
    pub repaired: u64,
    /// Versions, reactions and annotations that the table still does not hold.
    pub left: u64,
    /// Versions of which the table still holds another record than Ably's.
    pub still_different: u64,
    /// DynamoDB write units of what was, or would be, written.
    pub write_units: u64,
}

impl Tally {
    /// The sum of two.
    pub fn add(&mut self, other: &Self) {
        *self = self.with(other, |one, other| one + other);
    }

    /// What is left of this one without a part of it.
    #[must_use]
    pub fn minus(&self, part: &Self) -> Self {
        self.with(part, u64::saturating_sub)
    }

    fn with(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            messages: of(self.messages, other.messages),
            versions: of(self.versions, other.versions),
            found: of(self.found, other.found),
            missing: of(self.missing, other.missing),
            older: of(self.older, other.older),
            different: of(self.different, other.different),
            reactions: of(self.reactions, other.reactions),
            annotations: of(self.annotations, other.annotations),
            repaired: of(self.repaired, other.repaired),
            left: of(self.left, other.left),
            still_different: of(self.still_different, other.still_different),
            write_units: of(self.write_units, other.write_units),
        }
    }

    /// Gaps and differences, `older` aside, which `missing` counts too.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.missing + self.different + self.reactions + self.annotations
    }
}

/// Part of a receipt: messages that follow each other in the order of their serials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageReceipt {
    /// The first message seen at Ably.
    pub first: Serial,
    /// The last.
    pub last: Serial,
    /// Versions made later are not part of it: ms since the epoch.
    pub as_of: i64,
    /// Versions that the table holds of messages from `first` to `last`.
    pub rows: u64,
    /// Their digest: SHA-256 over one line of JSON for each, in the order of the keys:
    /// `["<serial>","<version.serial>","<SHA-256 of its content>"]` and a newline.
    pub sha256: String,
}

/// What was seen of a room and window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The room.
    pub room: RoomName,
    /// The window's first ms.
    pub from: i64,
    /// The ms after its last.
    pub until: i64,
    /// What was looked at.
    pub scope: Scope,
    /// What was seen, found, missing and repaired.
    #[serde(flatten)]
    pub tally: Tally,
    /// SHA-256 over all that the receipt says: its JSON, in the order of these members, without
    /// this one.
    #[serde(default)]
    pub sha256: String,
    /// The version of this program.
    pub tool: String,
    /// When the walk began: ms since the epoch. Pages of one that was resumed may be of any time
    /// since.
    pub started_at: i64,
    /// When it ended.
    pub finished_at: i64,
    /// The parts.
    pub pages: Vec<PageReceipt>,
}

impl Receipt {
    /// Its name among the room's receipts.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{:015}#{:015}#{:015}", self.from, self.until, self.finished_at)
    }

    /// The digest of all that it says.
    #[must_use]
    pub fn digest(&self) -> String {
        let unsigned = Self { sha256: String::new(), ..self.clone() };
        let json = serde_json::to_vec(&unsigned).expect("a receipt has string keys");
        hex(&Sha256::digest(json))
    }

    /// With its digest.
    #[must_use]
    pub(super) fn sealed(self) -> Self {
        Self { sha256: self.digest(), ..self }
    }

    /// Whether it says what it said when it was made.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        self.digest() == self.sha256
    }

    /// Whether the table held everything when the receipt was made.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.tally.left == 0
    }

    /// Whether it can stand for a walk: unaltered, complete, and of all that is `wanted`.
    #[must_use]
    pub fn counts_for(&self, wanted: &Scope) -> bool {
        self.is_genuine() && self.is_complete() && self.scope.includes(wanted)
    }

    /// Whether all that an earlier receipt saw on a page, this one has seen again and found
    /// complete. What Ably no longer keeps, no later receipt can see.
    #[must_use]
    pub fn supersedes(&self, earlier: &Self, page: &PageReceipt) -> bool {
        let (Some(first), Some(last)) = (self.pages.first(), self.pages.last()) else {
            return false;
        };
        self.is_after(earlier) && first.first <= page.first && page.last <= last.last
    }

    /// Whether it makes an earlier receipt needless.
    #[must_use]
    pub fn supersedes_all_of(&self, earlier: &Self) -> bool {
        self.is_after(earlier)
            && (self.from <= earlier.from && earlier.until <= self.until)
            && earlier.pages.iter().all(|page| self.supersedes(earlier, page))
    }

    fn is_after(&self, earlier: &Self) -> bool {
        // What it found altered, the earlier one may show to be so.
        self.finished_at > earlier.finished_at
            && self.tally.still_different == 0
            && self.counts_for(&earlier.scope)
    }
}

/// A room's receipts in the table; the sort key of one that cannot be read.
///
/// # Errors
/// When the table could not be read.
pub async fn receipts(
    store: &Store,
    room: &RoomName,
) -> Result<Vec<Result<Receipt, UnreadableDocument>>, StoreError> {
    store.documents(room, Document::Receipt, (Direction::OldestFirst, None)).await
}

/// How far receipts that count cover time without a gap: from `from` on; if that is `None`, from
/// where the first of them begins. `None` if that is nowhere.
#[must_use]
pub(super) fn covered_until(
    receipts: &[Receipt],
    wanted: &Scope,
    from: Option<i64>,
) -> Option<i64> {
    let mut windows: Vec<(i64, i64)> = receipts
        .iter()
        .filter(|receipt| receipt.counts_for(wanted))
        .map(|receipt| (receipt.from, receipt.until))
        .collect();
    windows.sort_unstable();
    let start = from.or_else(|| windows.first().map(|(from, _)| *from))?;
    Some(windows.into_iter().fold(start, |position, (from, until)| match from <= position {
        true => position.max(until),
        false => position,
    }))
}

/// Counts and digests the versions made until `as_of` that the table holds.
#[must_use]
pub(super) fn digest(archive: &BTreeMap<Serial, Archived>, as_of: i64) -> (u64, String) {
    let mut digest = VersionsDigest::default();
    for archived in archive.values() {
        for message in archived.all_versions().into_values() {
            if message.version.timestamp <= as_of {
                digest.add(&version_line(message));
            }
        }
    }
    digest.finish()
}

/// With `VERSIONS=both`, the latest version is in two rows: each tells of the other.
#[must_use]
pub(super) fn twins(serial: &Serial, archived: &Archived) -> Option<String> {
    let newest = archived.versions.values().next_back().map(|row| &row.message);
    match (&archived.latest, newest) {
        (None, Some(_)) => Some(format!("{serial}: the row of the latest version is gone")),
        (Some(latest), _) => match archived.versions.get(&latest.version.serial) {
            None => Some(format!("{serial}: the row of version {} is gone", latest.version.serial)),
            Some(twin) => {
                let members = differences(latest, &twin.message);
                (!members.is_empty()).then(|| {
                    format!("{serial}: altered, its two rows differ in {}", members.join(", "))
                })
            }
        },
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(from: i64, until: i64) -> Receipt {
        let pages = vec![PageReceipt {
            first: Serial("b".into()),
            last: Serial("d".into()),
            as_of: 5,
            rows: 3,
            sha256: "5".into(),
        }];
        let unsealed = Receipt {
            room: RoomName("r".into()),
            from,
            until,
            scope: Scope { versions: "both".into(), ..Scope::default() },
            tally: Tally { messages: 3, ..Tally::default() },
            sha256: String::new(),
            tool: "0".into(),
            started_at: 1,
            finished_at: until,
            pages,
        };
        unsealed.sealed()
    }

    #[test]
    fn regression_a_receipts_digest_covers_all_that_it_says() {
        let original = receipt(0, 10);
        assert!(original.is_genuine());
        let json = serde_json::to_value(&original).unwrap();
        for (name, value) in json.as_object().unwrap() {
            let altered = match value {
                serde_json::Value::Number(number) => {
                    serde_json::json!(number.as_i64().unwrap() + 1)
                }
                serde_json::Value::String(text) => serde_json::json!(format!("{text}x")),
                serde_json::Value::Array(_) => serde_json::json!([]),
                _ => serde_json::json!({"app": "x", "versions": "both", "reactions": false,
                                        "reactionClients": false, "annotations": false}),
            };
            let mut json = json.clone();
            json[name] = altered;
            let receipt: Receipt = serde_json::from_value(json).unwrap();
            assert!(!receipt.is_genuine(), "{name}");
            assert!(!receipt.counts_for(&receipt.scope), "{name}");
        }
    }

    #[test]
    fn regression_gaps_between_receipts_are_not_jumped_over() {
        let scope = receipt(0, 1).scope;
        let until = |windows: &[(i64, i64)], from| {
            let receipts: Vec<_> =
                windows.iter().map(|(from, until)| receipt(*from, *until)).collect();
            covered_until(&receipts, &scope, from)
        };
        assert_eq!(until(&[(0, 10), (10, 20), (30, 40)], Some(0)), Some(20));
        assert_eq!(until(&[(0, 10), (10, 20), (30, 40)], None), Some(20));
        assert_eq!(until(&[(30, 40), (0, 35)], None), Some(40));
        assert_eq!(until(&[(5, 10)], Some(0)), Some(0));
        assert_eq!((until(&[], None), until(&[], Some(3))), (None, Some(3)));
        let wanted = Scope { annotations: true, ..scope.clone() };
        assert_eq!(covered_until(&[receipt(0, 10)], &wanted, Some(0)), Some(0));
    }

    #[test]
    fn only_what_was_seen_again_is_superseded() {
        let (earlier, later) = (receipt(0, 10), receipt(0, 20));
        assert!(later.supersedes_all_of(&earlier) && !earlier.supersedes_all_of(&later));
        let mut narrower = receipt(0, 20);
        narrower.pages[0].first = Serial("c".into());
        assert!(!narrower.sealed().supersedes_all_of(&earlier), "Ably no longer has all of it");
        let mut incomplete = receipt(0, 20);
        incomplete.tally.left = 1;
        assert!(!incomplete.sealed().supersedes_all_of(&earlier));
        let mut forged = receipt(0, 5);
        forged.until = 20;
        assert!(!forged.supersedes_all_of(&earlier));
    }
}
