//! What a walk looks at in each message. A receipt vouches for that and no more.

use serde::{Deserialize, Serialize};

use crate::store::{KeepReactions, KeepVersions, ReactionClients, Settings};

/// What a walk looked at, or is to look at. `ROOM_FILTER` is no part of it: it takes or leaves
/// whole rooms, and a room that is left has no receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// The Ably app whose rooms are walked: that of the API key.
    pub app: String,
    /// `VERSIONS`: which rows hold a version.
    pub versions: String,
    /// Whether current reactions are stored: any `REACTIONS` but `none`.
    pub reactions: bool,
    /// Whether rows say who reacted: `REACTION_CLIENTS=ids`.
    pub reaction_clients: bool,
    /// Whether each reaction is stored by itself (`--annotations`).
    pub annotations: bool,
}

impl Scope {
    /// The scope of these settings.
    pub(super) fn new(app: &str, settings: Settings, annotations: bool) -> Self {
        let reactions = settings.reactions != KeepReactions::None;
        Self {
            app: app.into(),
            versions: settings.versions.word().into(),
            reactions,
            reaction_clients: reactions && settings.reaction_clients == ReactionClients::Ids,
            annotations,
        }
    }

    /// Whether whoever looked at this has looked at all of `wanted`.
    #[must_use]
    pub fn includes(&self, wanted: &Self) -> bool {
        self.app == wanted.app
            && (self.versions == wanted.versions || self.versions == KeepVersions::Both.word())
            && self.reactions >= wanted.reactions
            && self.reaction_clients >= wanted.reaction_clients
            && self.annotations >= wanted.annotations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_includes_what_is_less_and_never_what_is_more() {
        let scope = |versions, reactions, reaction_clients, annotations| {
            let settings =
                Settings { versions, reactions, reaction_clients, ..Settings::default() };
            Scope::new("app", settings, annotations)
        };
        let (ids, totals) = (ReactionClients::Ids, ReactionClients::Totals);
        let all = scope(KeepVersions::Both, KeepReactions::Snapshots, ids, true);
        let every = [KeepVersions::Both, KeepVersions::Latest, KeepVersions::All]
            .into_iter()
            .flat_map(|it| {
                [KeepReactions::Latest, KeepReactions::None].into_iter().flat_map(
                    move |reactions| {
                        [ids, totals].into_iter().flat_map(move |clients| {
                            [true, false]
                                .map(move |annotations| scope(it, reactions, clients, annotations))
                        })
                    },
                )
            });
        for less in every {
            assert!(all.includes(&less), "{less:?}");
            assert!(less.includes(&less));
            assert_eq!(less.includes(&all), less == all, "{less:?}");
        }
        let latest = scope(KeepVersions::Latest, KeepReactions::Latest, ids, false);
        let versions = scope(KeepVersions::All, KeepReactions::Latest, ids, false);
        assert!(!latest.includes(&versions) && !versions.includes(&latest));
        let other = Scope { app: "other".into(), ..all.clone() };
        assert!(!all.includes(&other) && !other.includes(&all));
    }
}
