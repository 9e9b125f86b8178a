//! What is stored, and how: settings that the store obeys.

use crate::mistake::words;

/// What is stored of a message's versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepVersions {
    /// The latest version and every version: two writes a version.
    #[default]
    Both,
    /// The latest version only.
    Latest,
    /// Every version only; readers find the latest.
    All,
}

/// What is stored of reactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepReactions {
    /// The current state.
    #[default]
    Latest,
    /// The current state, and every summary as it arrived.
    Snapshots,
    /// Nothing.
    None,
}

/// Whether rows say who reacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReactionClients {
    /// Client ids, as Ably sends them.
    #[default]
    Ids,
    /// Totals only.
    Totals,
}

/// Whether new rows are inserted, many in one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BulkInserts {
    /// They are, where enough of them come together.
    #[default]
    On,
    /// Every row is a put.
    Off,
}

/// What is stored, and how. The settings may change at any time: rows of every mode are read
/// together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `VERSIONS`.
    pub versions: KeepVersions,
    /// `REACTIONS`.
    pub reactions: KeepReactions,
    /// `REACTION_CLIENTS`.
    pub reaction_clients: ReactionClients,
    /// `RETENTION_DAYS`: rows expire so long after their message was created.
    pub retention_days: Option<u32>,
    /// `BULK_INSERTS`: how new rows are written.
    pub bulk_inserts: BulkInserts,
}

words!(KeepVersions, "both" => Both, "latest" => Latest, "all" => All);
words!(KeepReactions, "latest" => Latest, "snapshots" => Snapshots, "none" => None);
words!(BulkInserts, "on" => On, "off" => Off);
words!(ReactionClients, "ids" => Ids, "totals" => Totals);
