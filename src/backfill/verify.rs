//! Holds the table against receipts. A room is read once, whatever the number of its receipts.

use crate::backfill::receipt::{PageReceipt, Receipt, twins};
use crate::chat::Serial;
use crate::store::{Archived, KeepVersions, Store, StoreError, VersionsDigest, version_line};

/// What became of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The receipt.
    pub receipt: Receipt,
    /// What the table no longer holds of it, in words that name messages where they can; none if it
    /// holds everything.
    pub problems: Vec<String>,
    /// The number of its pages that later receipts have seen again, and that count for it.
    pub superseded: usize,
}

/// Verifies receipts of one room. A page that a later complete receipt has seen again is not
/// checked: what has changed since was found by that walk.
///
/// # Errors
/// When the table could not be read.
pub async fn verify(store: &Store, receipts: Vec<Receipt>) -> Result<Vec<Verified>, StoreError> {
    let mut verified: Vec<Verified> = Vec::with_capacity(receipts.len());
    let mut checks = Vec::new();
    for (index, receipt) in receipts.iter().enumerate() {
        let is_superseded =
            |page: &&PageReceipt| receipts.iter().any(|later| later.supersedes(receipt, page));
        let (superseded, remaining): (Vec<_>, Vec<_>) =
            receipt.pages.iter().partition(is_superseded);
        let is_replaced = receipts.iter().any(|later| later.supersedes_all_of(receipt));
        let mut problems = Vec::new();
        if !receipt.is_genuine() {
            problems
                .push("the receipt was altered: its SHA-256 is not that of what it says".into());
        }
        if !receipt.is_complete() && !is_replaced {
            let left = receipt.tally.left;
            problems
                .push(format!("{left} versions were missing when it was made, and not repaired"));
        }
        checks.extend(remaining.into_iter().map(|page| Check::new(index, receipt, page)));
        let superseded = superseded.len();
        verified.push(Verified { receipt: receipt.clone(), problems, superseded });
    }
    checks.sort_by(|one, other| one.page.first.cmp(&other.page.first));
    let mut waiting = checks.into_iter().peekable();
    while let Some(first) = waiting.next() {
        // Pages that overlap are read together.
        let mut last = first.page.last.clone();
        let mut together = vec![first];
        while let Some(next) = waiting.next_if(|next| next.page.first <= last) {
            last = last.max(next.page.last.clone());
            together.push(next);
        }
        read(store, &receipts, &mut together, &last).await?;
        for check in together {
            let receipt = check.receipt;
            verified[receipt].problems.extend(check.problems());
        }
    }
    Ok(verified)
}

/// Reads the rows of pages that overlap, which are sorted by where they begin.
async fn read(
    store: &Store,
    receipts: &[Receipt],
    checks: &mut [Check<'_>],
    last: &Serial,
) -> Result<(), StoreError> {
    let Some(first) = checks.first().map(|check| check.page.first.clone()) else { return Ok(()) };
    let room = &receipts[checks[0].receipt].room;
    let mut messages = store.archived_messages(room, (&first, last), false);
    let (mut begun, mut open) = (0, Vec::new());
    while let Some((serial, archived)) = messages.next().await? {
        while checks.get(begun).is_some_and(|check| check.page.first <= serial) {
            open.push(begun);
            begun += 1;
        }
        open.retain(|check: &usize| checks[*check].page.last >= serial);
        let versions: Vec<_> = archived.all_versions().into_values().collect();
        let lines: Vec<_> = versions.iter().map(|version| version_line(version)).collect();
        for check in &open {
            let check = &mut checks[*check];
            for (version, line) in versions.iter().zip(&lines) {
                if version.version.timestamp <= check.page.as_of {
                    check.digest.add(line);
                }
            }
            check.look_at(&serial, &archived);
        }
    }
    Ok(())
}

/// A page on its way to be checked.
struct Check<'a> {
    /// Which receipt it is of.
    receipt: usize,
    page: &'a PageReceipt,
    versions: &'a str,
    digest: VersionsDigest,
    /// Messages that were edited since.
    edited: u64,
    found: Vec<String>,
}

impl<'a> Check<'a> {
    fn new(index: usize, receipt: &'a Receipt, page: &'a PageReceipt) -> Self {
        Self {
            receipt: index,
            page,
            versions: &receipt.scope.versions,
            digest: VersionsDigest::default(),
            edited: 0,
            found: Vec::new(),
        }
    }

    fn look_at(&mut self, serial: &Serial, archived: &Archived) {
        let unreadable = archived.unreadable.iter().map(|reason| format!("altered: {reason}"));
        self.found.extend(unreadable);
        if self.versions == KeepVersions::Both.word() {
            self.found.extend(twins(serial, archived));
        }
        let is_newer =
            |latest: &crate::chat::ChatMessage| latest.version.timestamp > self.page.as_of;
        self.edited += u64::from(archived.latest.as_ref().is_some_and(is_newer));
    }

    fn problems(self) -> Vec<String> {
        let Self { page, versions, digest, edited, mut found, .. } = self;
        let (rows, sha256) = digest.finish();
        if sha256 == page.sha256 {
            return found;
        }
        let (first, last) = (&page.first, &page.last);
        let range = format!("from {first} to {last}");
        let only_latest = versions == KeepVersions::Latest.word();
        if only_latest && rows + edited >= page.rows && edited > 0 {
            found.push(format!(
                "{range}: cannot tell, {edited} messages were edited since and only the latest \
                 version is kept; make a new receipt with `reconcile --leave-receipt`"
            ));
        } else if rows < page.rows {
            let gone = page.rows - rows;
            found.push(format!("{range}: {gone} of {} versions are gone", page.rows));
        } else if rows > page.rows {
            found.push(format!(
                "{range}: {} versions came since; make a new receipt with \
                 `reconcile --leave-receipt`",
                rows - page.rows
            ));
        } else if found.is_empty() {
            found.push(format!("{range}: altered, {rows} versions but not the same"));
        }
        found
    }
}
