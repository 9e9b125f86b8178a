//! What is asked, and who asked it.

use axum::http::HeaderMap;

use crate::chat::RoomName;

/// What a caller wants to do, of which their capability must say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To read a room: its messages, their versions, and who reacted.
    History,
    /// To publish, edit, delete or react: any of these, for Ably decides which.
    Publish,
}

impl Operation {
    /// Whether a word in capabilities allows it.
    pub(super) fn is_allowed_by(self, allowed: &str) -> bool {
        let others = ["message-update-", "message-delete-", "annotation-publish"];
        let is_other = || others.iter().any(|other| allowed.starts_with(other));
        allowed == "*" || allowed == self.capability() || self == Self::Publish && is_other()
    }

    /// The word in capabilities (Ably docs, "Capabilities").
    pub(super) fn capability(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Publish => "publish",
        }
    }
}

/// A request, as far as it decides who may do what.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The parameter `clientId`, decoded.
    pub query_client_id: Option<&'a str>,
    /// The room.
    pub room: &'a RoomName,
    /// What for.
    pub operation: Operation,
    /// When it came: ms since the epoch.
    pub now_ms: i64,
}

impl Request<'_> {
    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Who called, and may do what they asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who they are, if they are anybody. Of an opaque token: who they say they are, which Ably did
    /// not deny.
    pub client_id: Option<String>,
    /// The name of the key that they have or that signed their token; of an opaque token, which
    /// names none, its app.
    pub key_name: String,
}
