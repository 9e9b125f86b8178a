//! A message, in one of its versions.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chat::json_text::JsonText;
use crate::chat::room::RoomName;
use crate::chat::version::{Action, Serial, Version};

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
    /// About how many bytes its JSON has, which is what a reader of many has to keep in bounds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const OF_NAMES: usize = 300;
        let version = &self.version;
        let json = [&self.metadata, &self.headers].into_iter().chain(&version.metadata);
        let aside = self.aside.iter().map(|(name, json)| name.len() + json.as_str().len());
        let optional = [&version.description, &version.client_id, &self.user_claim];
        OF_NAMES
            + self.text.len()
            + self.client_id.len()
            + json.map(|json| json.as_str().len()).sum::<usize>()
            + optional.into_iter().flatten().map(String::len).sum::<usize>()
            + aside.sum::<usize>()
    }

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
