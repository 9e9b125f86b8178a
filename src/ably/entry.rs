//! One message of a payload: where it is from, and whether it is an event, a thing to skip, or a
//! failure.

use serde::Serialize;

use crate::ably::error::MessageError;
use crate::chat::{ChatEvent, RoomName, Serial};

/// One message of a payload, or one event without messages.
#[derive(Debug)]
pub struct Entry {
    /// What the sender repeats when it sends the same again: the `serial` of a batch's item.
    pub delivery: Option<String>,
    /// Which item of a batch it is in, from 0; `None` in an envelope by itself.
    pub item: Option<usize>,
    /// Which of its envelope's messages it is, from 0.
    pub index: usize,
    /// The room, as far as it could be told.
    pub room: Option<RoomName>,
    /// The message, as far as it could be told.
    pub serial: Option<Serial>,
    /// What the entry says.
    pub verdict: Verdict,
    /// Whether `data` is a string without `encoding` that reads like a chat payload: a sign that
    /// the delivery loses `encoding`. The message is kept as sent, with an empty `text`.
    pub encoding_lost: bool,
    /// Members of another type than they should be: the message is stored with the defaults of
    /// these, and what they held is kept aside.
    pub odd: Vec<&'static str>,
}

impl Entry {
    pub(super) fn new(verdict: Verdict) -> Self {
        Self {
            delivery: None,
            item: None,
            index: 0,
            room: None,
            serial: None,
            verdict,
            encoding_lost: false,
            odd: Vec::new(),
        }
    }
}

/// What is to be done with an entry.
#[derive(Debug)]
pub enum Verdict {
    /// Store it.
    Event(ChatEvent),
    /// Not for the archive: count it.
    Skip(Skip),
    /// Ought to be stored and cannot be.
    Fail(MessageError),
}

/// Why something is not for the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Skip {
    /// Presence members entering, leaving, updating.
    Presence,
    /// Channels opening and closing.
    Lifecycle,
    /// Channel occupancy.
    Occupancy,
    /// A channel of Ably's own, such as `[meta]log`.
    Metachannel,
    /// A channel that is not a chat room.
    OtherChannel,
    /// A room channel of the Chat SDK before its single-channel migration.
    LegacyRoom,
    /// Marked ephemeral: typing, room reactions.
    Ephemeral,
    /// On a room's channel under another name than `chat.message`.
    OtherName,
    /// Channel metadata (action 3).
    Meta,
    /// Excluded by `ROOM_FILTER`.
    RoomFilter,
    /// A reaction summary, and `REACTIONS` is `none`.
    ReactionsOff,
}
