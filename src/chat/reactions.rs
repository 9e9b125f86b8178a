//! Reactions to a message: their state, and one by one.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chat::json_text::JsonText;
use crate::chat::room::RoomName;
use crate::chat::version::Serial;

/// Who reacted with one name, each client once (types `unique` and `distinct`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientIdList {
    /// How many reacted.
    pub total: u64,
    /// Who; cut short when `clipped`, empty when the archive keeps totals only.
    pub client_ids: Vec<String>,
    /// Whether `client_ids` is incomplete.
    pub clipped: bool,
    /// Members that are unknown, as they were sent.
    #[serde(flatten)]
    pub more: BTreeMap<String, JsonText>,
}

/// Who reacted with one name and how often (type `multiple`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientIdCounts {
    /// Sum of all counts.
    pub total: u64,
    /// Count by client; cut short when `clipped`, empty when the archive keeps totals only.
    pub client_ids: BTreeMap<String, u64>,
    /// Sum of the counts of clients without an id.
    pub total_unidentified: u64,
    /// Number of clients with an id.
    pub total_client_ids: u64,
    /// Whether `client_ids` is incomplete.
    pub clipped: bool,
    /// Members that are unknown, as they were sent.
    #[serde(flatten)]
    pub more: BTreeMap<String, JsonText>,
}

/// The reactions to a message, by reaction type and name: the Chat SDK's `MessageReactions`
/// (CHA-MR2, CHA-MR6).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reactions {
    /// One reaction per client.
    pub unique: BTreeMap<String, ClientIdList>,
    /// One per client and name.
    pub distinct: BTreeMap<String, ClientIdList>,
    /// Counted.
    pub multiple: BTreeMap<String, ClientIdCounts>,
}

/// The full state of a message's annotations at some moment; it replaces any earlier one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The three Chat reaction types.
    pub reactions: Reactions,
    /// Every other annotation type, opaque (features spec TM8a1). Also members of the summary's
    /// message that are of another type than they should be, by their path.
    pub annotations: BTreeMap<String, JsonText>,
}

impl Summary {
    /// About how many bytes its JSON has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const OF_NAMES: usize = 60;
        let Reactions { unique, distinct, multiple } = &self.reactions;
        let lists = unique.iter().chain(distinct).map(|(name, list)| {
            let ids = list.client_ids.iter().map(|id| id.len() + 3);
            OF_NAMES + name.len() + ids.sum::<usize>()
        });
        let counts = multiple.iter().map(|(name, counts)| {
            let ids = counts.client_ids.keys().map(|id| id.len() + 8);
            OF_NAMES + name.len() + ids.sum::<usize>()
        });
        let others = self.annotations.iter().map(|(name, json)| name.len() + json.as_str().len());
        lists.chain(counts).chain(others).sum()
    }

    /// Whether it says nothing of anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Reactions { unique, distinct, multiple } = &self.reactions;
        let is_nothing = |json: &JsonText| {
            let members = json.as_str().trim_start_matches('{').trim_end_matches('}');
            json.as_str() == "null" || members.trim_ascii().is_empty()
        };
        unique.is_empty()
            && distinct.is_empty()
            && multiple.is_empty()
            && self.annotations.values().all(is_nothing)
    }
}

/// A summary, and the message version it was seen on.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryOf {
    /// Where the message was sent.
    pub room: RoomName,
    /// The message.
    pub serial: Serial,
    /// Serial of the message's latest version when the summary was made.
    pub version: Serial,
    /// When the message (not the summary) was created: ms since the epoch; 0 when unknown.
    pub timestamp: i64,
    /// The state.
    pub summary: Summary,
    /// Whether it was there and could not be read: then `summary` is not the state, and replaces
    /// none.
    pub is_unreadable: bool,
}

/// One reaction of one client, or its removal (features spec TAN2).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotation {
    /// Where the message was sent.
    #[serde(skip)]
    pub room: RoomName,
    /// The message.
    #[serde(rename = "messageSerial")]
    pub message: Serial,
    /// Identity of the annotation.
    pub serial: Serial,
    /// The annotation type, `reaction:distinct.v1` for example.
    #[serde(rename = "type")]
    pub kind: String,
    /// The reaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who reacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How often, for type `multiple`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Whether the reaction was taken back.
    pub is_delete: bool,
    /// When: ms since the epoch.
    pub timestamp: i64,
    /// Set by the server from the client's token (CHA-MR7d).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_claim: Option<String>,
    /// What else it carries, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<JsonText>,
    /// Steps that decode `data` (features spec RSL6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Members that no field holds: see [`crate::chat::ChatMessage::aside`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aside: BTreeMap<String, JsonText>,
}
