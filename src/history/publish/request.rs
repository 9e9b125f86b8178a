//! One request on its way to Ably.

use axum::body::Bytes;
use axum::http::Request;
use tokio::time::Instant;

use crate::chat::RoomName;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// POST …/messages
    Send,
    /// PUT …/messages/{serial}
    Update,
    /// POST …/messages/{serial}/delete
    Delete,
    /// POST and DELETE …/messages/{serial}/reactions
    Reaction,
    /// Anything else.
    Other,
}

impl Operation {
    /// Whether it makes a version of a message.
    pub(super) fn is_stored(self) -> bool {
        matches!(self, Self::Send | Self::Update | Self::Delete)
    }
}

/// One request on its way.
#[derive(Clone, Debug)]
pub struct Call {
    /// What logs call it.
    pub request_id: String,
    /// The version of the program, for parked messages.
    pub function_version: String,
    /// When the answer must be there.
    pub deadline: Instant,
    /// Whom the credentials name, where they were verified here.
    pub client_id: Option<String>,
}

/// A request on its way to Ably.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) request: Request<Bytes>,
    /// Path and query.
    pub(super) target: String,
    /// The app that the sender's credentials are of.
    pub(super) app: Option<String>,
    pub(super) room: Option<RoomName>,
    pub(super) operation: Operation,
    pub(super) call: Call,
}
