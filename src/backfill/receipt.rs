//! Receipts: what of a room and window was seen at Ably and is in the table, in a form that the table
//! alone can be held against later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::chat::{RoomName, Serial};
use crate::store::{Archived, Store, StoreError, Versions, VersionsDigest, differences, hex};

/// Part of time: from, included, until, not included; ms since the epoch, by the time at which messages
/// were created.
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
    /// Of what was missing or different, how much was written: versions, reactions and annotations.
    pub repaired: u64,
    /// DynamoDB write units of what was, or would be, written.
    pub write_units: u64,
}

impl Tally {
    /// The sum of two.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.versions += other.versions;
        self.found += other.found;
        self.missing += other.missing;
        self.older += other.older;
        self.different += other.different;
        self.reactions += other.reactions;
        self.annotations += other.annotations;
        self.repaired += other.repaired;
        self.write_units += other.write_units;
    }

    /// Gaps and differences, `older` aside, which `missing` counts too.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.missing + self.different + self.reactions + self.annotations
    }
}

/// Part of a receipt: so many messages in the order of their serials.
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
    /// What was seen, found, missing and repaired.
    #[serde(flatten)]
    pub tally: Tally,
    /// SHA-256 over the pages' digests, a newline after each.
    pub sha256: String,
    /// `VERSIONS` at the time: which rows hold a version.
    pub versions_setting: String,
    /// The version of this program.
    pub tool: String,
    /// When the walk began: ms since the epoch.
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
        format!("{:015}#{:015}", self.from, self.until)
    }

    /// Whether the table held everything when the receipt was made.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.tally.missing + self.tally.annotations <= self.tally.repaired
    }
}

/// The setting's word.
#[must_use]
pub(super) fn word(versions: Versions) -> &'static str {
    match versions {
        Versions::Both => "both",
        Versions::Latest => "latest",
        Versions::All => "all",
    }
}

/// The digest of pages' digests.
#[must_use]
pub(super) fn sha256_of(pages: &[PageReceipt]) -> String {
    let mut sum = Sha256::new();
    for page in pages {
        sum.update(&page.sha256);
        sum.update("\n");
    }
    hex(&sum.finalize())
}

/// Counts and digests the versions made until `as_of` that the table holds.
#[must_use]
pub(super) fn digest(archive: &BTreeMap<Serial, Archived>, as_of: i64) -> (u64, String) {
    let mut digest = VersionsDigest::default();
    for archived in archive.values() {
        for message in archived.all_versions().into_values() {
            if message.version.timestamp <= as_of {
                digest.add(message);
            }
        }
    }
    digest.finish()
}

/// What the table no longer holds of a receipt, in words that name messages where they can; none if it
/// holds everything.
///
/// # Errors
/// When the table could not be read.
pub async fn verify(store: &Store, receipt: &Receipt) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    if sha256_of(&receipt.pages) != receipt.sha256 {
        problems.push("the receipt was altered: its SHA-256 is not that of its pages".into());
    }
    for page in &receipt.pages {
        let archive = match store.archive(&receipt.room, (&page.first, &page.last), false).await {
            Ok(archive) => archive,
            Err(error) if error.is_retryable => return Err(error),
            Err(error) => {
                problems.push(format!("altered: {error}"));
                continue;
            }
        };
        let before = problems.len();
        if receipt.versions_setting == word(Versions::Both) {
            problems.extend(archive.iter().flat_map(|(serial, archived)| twins(serial, archived)));
        }
        let (rows, sha256) = digest(&archive, page.as_of);
        if sha256 == page.sha256 {
            continue;
        }
        let newer = |archived: &&Archived| {
            archived.latest.as_ref().is_some_and(|latest| latest.version.timestamp > page.as_of)
        };
        let edited = archive.values().filter(newer).count() as u64;
        let (first, last) = (&page.first, &page.last);
        let range = format!("from {first} to {last}");
        if receipt.versions_setting == word(Versions::Latest)
            && rows + edited >= page.rows
            && edited > 0
        {
            problems.push(format!(
                "{range}: cannot tell, {edited} messages were edited since and only the latest \
                 version is kept; make a new receipt with `reconcile`"
            ));
        } else if rows < page.rows {
            problems.push(format!(
                "{range}: {} of {} versions are gone",
                page.rows - rows,
                page.rows
            ));
        } else if rows > page.rows {
            problems.push(format!(
                "{range}: {} versions came since; make a new receipt with `reconcile`",
                rows - page.rows
            ));
        } else if before == problems.len() {
            problems.push(format!("{range}: altered, {rows} versions but not the same"));
        }
    }
    Ok(problems)
}

/// With `VERSIONS=both`, the latest version is in two rows: one tells of the other.
fn twins(serial: &Serial, archived: &Archived) -> Option<String> {
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
