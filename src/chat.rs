//! What a chat message is, and which of two is newer. Pure values: no JSON spelling of Ably's
//! events, no DynamoDB attribute, no clock.
//!
//! Field names and defaults are those of Ably's Chat SDK (`Message`, spec points CHA-M2 to CHA-M4).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A chat room's name: opaque, compared byte by byte, never split.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoomName(pub String);

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of a message, the same for all its versions; or identity of one version. Opaque and
/// ordered by bytes (Chat spec CHA-M2d to CHA-M2g, CHA-M10e).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(pub String);

impl Serial {
    /// The serial's text, as Ably sent it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a version with this serial replaces one with `other` (Chat spec CHA-M10e2). Equal
    /// serials are the same version.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.0.as_bytes() > other.0.as_bytes()
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a version did to its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The message was sent.
    #[serde(rename = "message.create")]
    Create,
    /// Its content was replaced.
    #[serde(rename = "message.update")]
    Update,
    /// It was deleted; this version is the tombstone.
    #[serde(rename = "message.delete")]
    Delete,
}

impl Action {
    /// The Chat SDK's word for the action, as stored and served.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "message.create",
            Self::Update => "message.update",
            Self::Delete => "message.delete",
        }
    }
}

/// JSON exactly as it was sent: key order, number spelling and duplicate keys included. `metadata`
/// and `headers` are users' input of any depth, so nothing here reads into them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// Takes JSON that a parser has already accepted.
    #[must_use]
    pub fn from_raw(raw: &RawValue) -> Self {
        Self(raw.to_owned())
    }

    /// Takes text that must be JSON.
    ///
    /// # Errors
    /// When `text` is not JSON.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The JSON itself.
    #[must_use]
    pub fn into_raw(self) -> Box<RawValue> {
        self.0
    }
}

impl Default for JsonText {
    /// The empty object.
    fn default() -> Self {
        Self(RawValue::from_string("{}".into()).expect("an empty object is JSON"))
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_str())
    }
}

/// Which version of a message this is, and who made it why.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Equal to the message's serial for a create (CHA-M4k6).
    pub serial: Serial,
    /// When this version was made: ms since the epoch, by Ably's clock.
    pub timestamp: i64,
    /// Who updated or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What else the operator said about the operation; not the message's metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonText>,
}

/// What `text` and `metadata` cannot hold of a message's `data`, in Ably's own wire form: the
/// `encoding` chain (features spec RSL6) applied to `data` yields the rest of the payload.
#[derive(Clone, Debug, PartialEq)]
pub struct RawData {
    /// The payload as far as it could be decoded.
    pub data: Data,
    /// Steps left undone, right to left; `None` when the string or the bytes are the payload.
    pub encoding: Option<String>,
}

/// Payload that is not (or not only) a Chat `{text, metadata}` object.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Text; JSON text when the encoding ends in `json`.
    Text(String),
    /// Bytes, for example of a payload that could not be decrypted.
    Bytes(Vec<u8>),
}

/// One version of a chat message. Serialises to the Chat SDK's `Message` (without `reactions`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatMessage {
    /// Where it was sent.
    #[serde(skip)]
    pub room: RoomName,
    /// Identity of the message.
    pub serial: Serial,
    /// The author, also on updates and deletes by others; "" when unknown (CHA-M4k1).
    pub client_id: String,
    /// "" when the payload held none (CHA-M4k1).
    pub text: String,
    /// `{}` when the payload held none (CHA-M4k2).
    pub metadata: JsonText,
    /// `extras.headers`; `{}` when there were none (CHA-M4k2).
    pub headers: JsonText,
    /// Set by the server from the operator's token (CHA-M2h).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_claim: Option<String>,
    /// What this version did.
    pub action: Action,
    /// When the message was created: ms since the epoch; 0 when unknown (CHA-M4k5).
    pub timestamp: i64,
    /// Which version this is.
    pub version: Version,
    /// What of the payload the fields above cannot hold.
    #[serde(skip)]
    pub raw: Option<RawData>,
    /// Members of Ably's message that no field holds, as they were sent: unknown ones by their path
    /// (`version.pinned`), and those of another type than a field by the field's name (`headers`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aside: BTreeMap<String, JsonText>,
}

impl ChatMessage {
    /// The message as a reader may see it: a deleted one without its content, as Ably's own REST
    /// API serves it. The table keeps what arrived.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        if self.action == Action::Delete {
            self.text = String::new();
            self.metadata = JsonText::default();
            self.headers = JsonText::default();
            self.raw = None;
            // Who deleted and why is none of the content.
            self.aside.retain(|name, _| name == "version" || name.starts_with("version."));
        }
        self
    }
}

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
    /// Members that no field holds: see [`ChatMessage::aside`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aside: BTreeMap<String, JsonText>,
}

/// What one Ably message says about a room.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatEvent {
    /// A message was created, updated or deleted. A summary that rides along is a mere
    /// observation: its absence says nothing.
    Version(Box<ChatMessage>, Option<Summary>),
    /// The reactions to a message changed; this is all of them.
    Reactions(SummaryOf),
}
