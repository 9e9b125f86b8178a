//! What lies in the queue of rooms to be reconciled.

use serde::{Deserialize, Serialize};

use crate::chat::RoomName;

/// A room and window to walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Work {
    pub(crate) room: RoomName,
    /// Ms since the epoch. Default: where receipts end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<i64>,
    /// Ms since the epoch. Default: a minute ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<i64>,
    /// Days to look back at least, where no `from` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) days: Option<u16>,
}

impl Work {
    /// What has come since the room was compared last.
    pub(crate) fn of(room: RoomName) -> Self {
        Self { room, from: None, until: None, days: None }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a room and numbers serialise")
    }
}
