//! A version of a message, and the one rule by which one is newer than another: folding,
//! conditions, comparisons and readers all go by [`Serial::is_newer_than`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chat::json_text::JsonText;

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
