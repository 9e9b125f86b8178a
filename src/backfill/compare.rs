//! One message at Ably and in the table: what is missing, older or different, and the rows that
//! repair it. Pure.

use crate::ably::Fetched;
use crate::backfill::context::Repair;
use crate::backfill::finding::{Finding, Gap};
use crate::backfill::receipt::Tally;
use crate::chat::{
    Action, ChatEvent, ChatMessage, ClientIdCounts, ClientIdList, JsonText, Reactions, Serial,
    Summary, SummaryOf,
};
use crate::store::{
    self, Archived, Condition, KeepReactions, KeepVersions, Observation, Put, ReactionClients,
    Store, Unstorable, differences,
};

/// Ably's history may be so far behind what it delivers, in ms: what a read shows counts as of
/// then, and rows that arrived later are not compared with it.
pub(super) const LAG: i64 = 10_000;
/// What is older than that, in ms, has been in Ably's history for good: its lag, and twice the
/// difference of clocks that a walk puts up with.
pub(super) const SETTLED_AFTER: i64 = 60_000;

/// A message at Ably.
pub(super) struct AtAbly<'a> {
    /// Its versions, oldest first: at least the latest.
    pub versions: Vec<ChatMessage>,
    /// The number of older versions that need not be looked at: they were found to be those at Ably
    /// before, and still are as they were then.
    pub settled: u64,
    /// Whether `versions` are all there are, and no other can appear among them.
    pub is_whole: bool,
    /// Its reactions, where the API says.
    pub reactions: Option<&'a Reactions>,
    /// When Ably was asked: ms since the epoch.
    pub asked_at: i64,
}

/// What comparing came to.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Counts.
    pub tally: Tally,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What repairs it.
    pub puts: Vec<Put>,
    /// The latest version: once the puts are written, the versions can be noted on its row as
    /// settled.
    pub settles: Option<Serial>,
}

/// The rows of one version in the table.
struct StoredRows<'a> {
    /// Its own.
    version: Option<&'a ChatMessage>,
    /// That of the message's latest version, if it holds this one.
    latest: Option<&'a ChatMessage>,
    /// Whether they lack what `VERSIONS` asks for.
    lacks: Lacks,
}

/// Which rows are lacking.
#[derive(Clone, Copy)]
struct Lacks {
    version: bool,
    latest: bool,
}

impl AtAbly<'_> {
    /// The message.
    pub(super) fn serial(&self) -> &Serial {
        &self.versions[0].serial
    }

    /// Compares with what the table holds of the message.
    ///
    /// # Errors
    /// When DynamoDB cannot hold what would repair it.
    pub(super) fn compare(
        &self,
        store: &Store,
        archived: &Archived,
        repair: Repair,
    ) -> Result<Compared, Unstorable> {
        let mut compared = Compared::default();
        compared.tally.messages = 1;
        compared.tally.versions = self.settled;
        compared.tally.found = self.settled;
        let Some(latest) = self.versions.last() else { return Ok(compared) };
        for version in &self.versions {
            self.version(store, archived, version, repair, &mut compared)?;
        }
        if self.settles(store, archived, &compared, repair) {
            let row = archived.versions.get(&latest.version.serial);
            let row = row.map_or(latest, |row| &row.message);
            compared.tally.write_units += store.version_write_units(row);
            compared.settles = Some(latest.version.serial.clone());
        }
        if store.settings().reactions != KeepReactions::None {
            self.reactions(store, archived, latest, repair, &mut compared)?;
        }
        Ok(compared)
    }

    fn is_latest(&self, version: &ChatMessage) -> bool {
        self.versions.last().is_some_and(|latest| latest.version.serial == version.version.serial)
    }

    fn rows<'a>(
        &self,
        setting: KeepVersions,
        archived: &'a Archived,
        version: &ChatMessage,
    ) -> StoredRows<'a> {
        let serial = &version.version.serial;
        let own = archived.versions.get(serial).map(|row| &row.message);
        let lacks_latest = match &archived.latest {
            None => setting != KeepVersions::All,
            // Of every setting: a row that another one left must not stay behind.
            Some(row) => serial.is_newer_than(&row.version.serial),
        };
        let lacks = Lacks {
            version: setting != KeepVersions::Latest && own.is_none(),
            latest: lacks_latest && self.is_latest(version),
        };
        let latest = archived.latest.as_ref().filter(|row| row.version.serial == *serial);
        StoredRows { version: own, latest, lacks }
    }

    fn version(
        &self,
        store: &Store,
        archived: &Archived,
        version: &ChatMessage,
        repair: Repair,
        compared: &mut Compared,
    ) -> Result<(), Unstorable> {
        let rows = self.rows(store.settings().versions, archived, version);
        let StoredRows { lacks, .. } = rows;
        let record = rows.version.into_iter().chain(rows.latest).fold(version.clone(), merged);
        compared.tally.versions += 1;
        if lacks.version || lacks.latest {
            compared.tally.missing += 1;
            compared.tally.left += 1;
            let newest = archived.all_versions().into_keys().next_back();
            let is_older =
                newest.is_some_and(|newest| version.version.serial.is_newer_than(newest));
            let is_older = is_older && self.is_latest(version);
            compared.tally.older += u64::from(is_older);
            let gap = if is_older { Gap::Older } else { Gap::Missing };
            compared.findings.push(Finding::of(version, gap, Vec::new()));
        } else {
            compared.tally.found += 1;
        }
        let altered = |row: Option<&ChatMessage>| {
            row.map(|row| differences(&record, row)).unwrap_or_default()
        };
        let (of_version, of_latest) = (altered(rows.version), altered(rows.latest));
        let is_altered =
            store::Rows { version: !of_version.is_empty(), latest: !of_latest.is_empty() };
        if is_altered != store::Rows::default() {
            compared.tally.different += 1;
            compared.tally.still_different += 1;
            let members = if is_altered.version { of_version } else { of_latest };
            compared.findings.push(Finding::of(version, Gap::Different, members));
        }
        let observation = Observation::of_read(self.asked_at);
        if repair == Repair::All && is_altered != store::Rows::default() {
            let puts = store.plan_replacement(&record, is_altered, observation)?;
            compared.write(puts.into_iter());
        }
        if repair != Repair::Nothing && (lacks.version || lacks.latest) {
            let event = ChatEvent::Version(Box::new(record), None);
            let puts = store.plan(&event, observation)?.into_iter();
            compared.write(puts.filter(|put| match put.condition {
                Condition::Absent => lacks.version,
                _ => lacks.latest,
            }));
        }
        Ok(())
    }

    /// Whether the table will have every version just as Ably has it, and no other, so that they
    /// need not be asked for again.
    fn settles(
        &self,
        store: &Store,
        archived: &Archived,
        compared: &Compared,
        repair: Repair,
    ) -> bool {
        let is_at_ably = |serial: &Serial| {
            let found = self.versions.binary_search_by(|it| it.version.serial.cmp(serial));
            found.is_ok()
        };
        let latest = self.versions.last().map(|latest| &latest.version.serial);
        let is_same = match repair {
            Repair::Nothing => false,
            Repair::Missing => compared.tally.different == 0,
            Repair::All => true,
        };
        let mut older = archived.versions.keys().filter(|serial| Some(*serial) <= latest);
        let has_rows = store.settings().versions != KeepVersions::Latest;
        let is_noted = compared.findings.is_empty()
            && latest.is_some_and(|latest| archived.settled(latest).is_some());
        has_rows && !is_noted && self.is_whole && is_same && older.all(is_at_ably)
    }

    fn reactions(
        &self,
        store: &Store,
        archived: &Archived,
        latest: &ChatMessage,
        repair: Repair,
        compared: &mut Compared,
    ) -> Result<(), Unstorable> {
        let Some(found) = self.reactions else { return Ok(()) };
        let as_of = self.asked_at - LAG;
        let with_clients = store.settings().reaction_clients == ReactionClients::Ids;
        let (version, stored) = (&latest.version.serial, archived.reactions.as_ref());
        let is_same = match stored {
            None => is_empty(found),
            // The row may know more than the read.
            Some(row) if row.version.is_newer_than(version) => true,
            Some(row) if row.received_at.is_some_and(|at| at >= as_of) => true,
            // Ably no longer keeps count of a deleted message's; what was known last, stays with
            // it.
            Some(_) if latest.action == Action::Delete => true,
            Some(row) => is_same(&row.summary.reactions, found, with_clients),
        };
        if is_same {
            return Ok(());
        }
        compared.tally.reactions += 1;
        compared.tally.left += 1;
        compared.findings.push(Finding::of(latest, Gap::Reactions, Vec::new()));
        if repair == Repair::Nothing {
            return Ok(());
        }
        let annotations = stored.map(|row| row.summary.annotations.clone()).unwrap_or_default();
        let event = ChatEvent::Reactions(SummaryOf {
            room: latest.room.clone(),
            serial: latest.serial.clone(),
            // Never raised: live summaries may name no version, and would all lose against it.
            version: stored.map_or(&latest.serial, |row| &row.version).clone(),
            timestamp: latest.timestamp,
            summary: Summary { reactions: found.clone(), annotations },
            is_unreadable: false,
        });
        let observation = Observation::of_read(as_of);
        compared.write(store.plan(&event, observation)?.into_iter());
        Ok(())
    }
}

impl Compared {
    fn write(&mut self, puts: impl Iterator<Item = Put>) {
        for put in puts {
            self.tally.write_units += put.write_units();
            self.puts.push(put);
        }
    }
}

/// Whether a message is more than its first version, so that it has others.
#[must_use]
pub(super) fn is_edited(fetched: &Fetched) -> bool {
    let message = &fetched.message;
    message.version.serial != message.serial || message.action != Action::Create
}

/// Ably's record, with what only the row has: members that Ably may leave out, and what its Chat
/// API cannot show. Where that shows no content at all (of a message that was published encrypted,
/// or that is no chat message's data), the row's is kept.
fn merged(mut version: ChatMessage, row: &ChatMessage) -> ChatMessage {
    version.raw = version.raw.take().or_else(|| row.raw.clone());
    let shows_nothing = version.text.is_empty() && version.metadata == JsonText::default();
    if shows_nothing && version.action != Action::Delete {
        (version.text, version.metadata) = (row.text.clone(), row.metadata.clone());
    }
    let (made, known) = (&mut version.version, &row.version);
    made.client_id = made.client_id.take().or_else(|| known.client_id.clone());
    made.description = made.description.take().or_else(|| known.description.clone());
    made.metadata = made.metadata.take().or_else(|| known.metadata.clone());
    version.user_claim = version.user_claim.take().or_else(|| row.user_claim.clone());
    for (name, json) in &row.aside {
        version.aside.entry(name.clone()).or_insert_with(|| json.clone());
    }
    version
}

fn is_empty(reactions: &Reactions) -> bool {
    let Reactions { unique, distinct, multiple } = reactions;
    unique.is_empty() && distinct.is_empty() && multiple.is_empty()
}

/// Whether two states are the same: names and totals, and clients where both lists are whole and
/// kept.
fn is_same(one: &Reactions, other: &Reactions, with_clients: bool) -> bool {
    let list = |one: &ClientIdList, other: &ClientIdList| {
        let sorted = |list: &ClientIdList| {
            let mut ids = list.client_ids.clone();
            ids.sort_unstable();
            ids
        };
        let skips_clients = !with_clients || one.clipped || other.clipped;
        one.total == other.total && (skips_clients || sorted(one) == sorted(other))
    };
    let counts = |one: &ClientIdCounts, other: &ClientIdCounts| {
        let skips_clients = !with_clients || one.clipped || other.clipped;
        one.total == other.total
            && one.total_unidentified == other.total_unidentified
            && (skips_clients || one.client_ids == other.client_ids)
    };
    same_names(&one.unique, &other.unique, list)
        && same_names(&one.distinct, &other.distinct, list)
        && same_names(&one.multiple, &other.multiple, counts)
}

fn same_names<T>(
    one: &std::collections::BTreeMap<String, T>,
    other: &std::collections::BTreeMap<String, T>,
    is_same: impl Fn(&T, &T) -> bool,
) -> bool {
    one.len() == other.len()
        && one.iter().all(|(name, it)| other.get(name).is_some_and(|that| is_same(it, that)))
}
