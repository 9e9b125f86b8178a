//! One message at Ably and in the table: what is missing, older or different, and the rows that mend
//! it. Pure.

use serde::Serialize;

use crate::ably::Fetched;
use crate::backfill::Repair;
use crate::backfill::receipt::Tally;
use crate::chat::{
    Action, ChatEvent, ChatMessage, ClientIdCounts, ClientIdList, JsonText, Reactions, Serial,
    Summary, SummaryOf,
};
use crate::store::{
    Archived, Condition, Observation, Put, ReactionClients, Reactions as Kept, Store, Unstorable,
    Versions, differences,
};

/// Ably's history may be so far behind what it delivers, in ms: what a read shows counts as of then, and
/// rows that arrived later are not compared with it.
pub(super) const LAG: i64 = 10_000;

/// What is wrong with one message in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The message.
    pub serial: Serial,
    /// The version.
    pub version: Serial,
    /// What is wrong.
    pub gap: Gap,
    /// In what two records differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<&'static str>,
}

/// How the table falls short of Ably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Gap {
    /// A version is not there, or not in every row that `VERSIONS` asks for.
    Missing,
    /// Only older versions are there.
    Older,
    /// The version is there, and another record of it is at Ably.
    Different,
    /// Other reactions are there, or none.
    Reactions,
}

/// A message at Ably.
pub(super) struct AtAbly<'a> {
    /// Its versions, oldest first: at least the latest.
    pub versions: Vec<ChatMessage>,
    /// Versions that need not be looked at: all of them were found before, and still are there.
    pub settled: usize,
    /// Whether `versions` are all there are.
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
    /// What mends it.
    pub puts: Vec<Put>,
    /// Note on the row of this version, which is there, that the message has so many versions.
    pub settle: Option<(Serial, usize)>,
}

impl AtAbly<'_> {
    /// Compares with what the table holds of the message.
    ///
    /// # Errors
    /// When DynamoDB cannot hold what would mend it.
    pub(super) fn compare(
        &self,
        store: &Store,
        archived: &Archived,
        repair: Repair,
    ) -> Result<Compared, Unstorable> {
        let mut compared = Compared::default();
        compared.tally.messages = 1;
        compared.tally.versions = self.settled as u64;
        compared.tally.found = self.settled as u64;
        let Some(latest) = self.versions.last() else { return Ok(compared) };
        for version in &self.versions {
            let is_latest = version.version.serial == latest.version.serial;
            self.version(store, archived, (version, is_latest), repair, &mut compared)?;
        }
        if store.settings().reactions != Kept::None {
            self.reactions(store, archived, latest, repair, &mut compared)?;
        }
        Ok(compared)
    }

    fn version(
        &self,
        store: &Store,
        archived: &Archived,
        (version, is_latest): (&ChatMessage, bool),
        repair: Repair,
        compared: &mut Compared,
    ) -> Result<(), Unstorable> {
        let serial = &version.version.serial;
        let setting = store.settings().versions;
        let row = archived.versions.get(serial).map(|row| &row.message);
        let latest = archived.latest.as_ref().filter(|latest| latest.version.serial >= *serial);
        let lacks_row = setting != Versions::Latest && row.is_none();
        let lacks_latest = setting != Versions::All && is_latest && latest.is_none();
        compared.tally.versions += 1;
        let mut finding = Finding {
            serial: version.serial.clone(),
            version: serial.clone(),
            gap: Gap::Missing,
            members: Vec::new(),
        };
        let observation = Observation { delivery: None, received_at: self.asked_at };
        if lacks_row || lacks_latest {
            compared.tally.missing += 1;
            let newest = archived.all_versions().into_keys().next_back();
            if is_latest && newest.is_some_and(|newest| newest < serial) {
                compared.tally.older += 1;
                finding.gap = Gap::Older;
            }
            compared.findings.push(finding);
        } else {
            compared.tally.found += 1;
            let same = latest.filter(|latest| latest.version.serial == *serial);
            let rows = row.into_iter().chain(same);
            let merged = rows.map(|row| (merged(version, row), row));
            let differing = merged.map(|(merged, row)| (differences(&merged, row), merged));
            if let Some((members, merged)) =
                differing.into_iter().find(|(members, _)| !members.is_empty())
            {
                compared.tally.different += 1;
                (finding.gap, finding.members) = (Gap::Different, members);
                compared.findings.push(finding);
                if repair == Repair::All {
                    // The row of the latest version may hold a newer one.
                    let puts = store.plan_replacement(&merged, same.is_some(), observation)?;
                    compared.write(puts.into_iter());
                    return Ok(());
                }
            }
        }
        let event = ChatEvent::Version(Box::new(version.clone()), None);
        let (mut puts, count) = (store.plan(&event, observation)?, self.versions.len());
        if is_latest && self.settles(archived, compared, repair) && setting != Versions::Latest {
            puts = puts.into_iter().map(|put| settled(put, count)).collect();
            if !lacks_row {
                let row = puts.iter().find(|put| put.condition == Condition::Absent);
                compared.tally.write_units += row.map_or(0, Put::write_units);
                compared.settle = Some((serial.clone(), count));
            }
        }
        if repair != Repair::Nothing {
            compared.write(puts.into_iter().filter(|put| match put.condition {
                Condition::Absent => lacks_row,
                _ => lacks_latest,
            }));
        }
        Ok(())
    }

    /// Whether the table will have every version just as Ably has it, and no other, so that they need not
    /// be asked for again: only so does their number tell.
    fn settles(&self, archived: &Archived, compared: &Compared, repair: Repair) -> bool {
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
        self.is_whole && is_same && older.all(is_at_ably)
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
            Some(row) if row.version > *version => true,
            Some(row) if row.received_at.is_some_and(|at| at >= as_of) => true,
            // Ably no longer keeps count of a deleted message's; what was known last, stays with it.
            Some(_) if latest.action == Action::Delete => true,
            Some(row) => is_same(&row.summary.reactions, found, with_clients),
        };
        if is_same {
            return Ok(());
        }
        compared.tally.reactions += 1;
        compared.findings.push(Finding {
            serial: latest.serial.clone(),
            version: version.clone(),
            gap: Gap::Reactions,
            members: Vec::new(),
        });
        if repair == Repair::Nothing {
            return Ok(());
        }
        let annotations = stored.map(|row| row.summary.annotations.clone()).unwrap_or_default();
        let event = ChatEvent::Reactions(SummaryOf {
            room: latest.room.clone(),
            serial: latest.serial.clone(),
            version: version.clone(),
            timestamp: latest.timestamp,
            summary: Summary { reactions: found.clone(), annotations },
        });
        let observation = Observation { delivery: None, received_at: as_of };
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

fn settled(put: Put, count: usize) -> Put {
    if put.condition == Condition::Absent { put.settled(count) } else { put }
}

/// Whether a message is more than its first version, so that it has others.
#[must_use]
pub(super) fn is_edited(fetched: &Fetched) -> bool {
    let message = &fetched.message;
    message.version.serial != message.serial || message.action != Action::Create
}

/// Ably's record, with what only the row has: members that Ably may leave out, and what its Chat API
/// cannot show. Where that shows no content at all (of a message that was published encrypted, or that is
/// no chat message's data), the row's is kept.
fn merged(version: &ChatMessage, row: &ChatMessage) -> ChatMessage {
    let mut merged = ChatMessage { raw: row.raw.clone(), ..version.clone() };
    let shows_nothing = version.text.is_empty() && version.metadata == JsonText::default();
    if shows_nothing && version.action != Action::Delete {
        (merged.text, merged.metadata) = (row.text.clone(), row.metadata.clone());
    }
    let (made, known) = (&mut merged.version, &row.version);
    made.client_id = made.client_id.take().or_else(|| known.client_id.clone());
    made.description = made.description.take().or_else(|| known.description.clone());
    made.metadata = made.metadata.take().or_else(|| known.metadata.clone());
    merged.user_claim = merged.user_claim.take().or_else(|| row.user_claim.clone());
    merged
}

fn is_empty(reactions: &Reactions) -> bool {
    let Reactions { unique, distinct, multiple } = reactions;
    unique.is_empty() && distinct.is_empty() && multiple.is_empty()
}

/// Whether two states are the same: names and totals, and clients where both lists are whole and kept.
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
