//! `ROOM_FILTER`: which rooms are stored.

use regex_lite::Regex;

use crate::chat::RoomName;

/// Keeps rooms whose name a regular expression matches somewhere.
#[derive(Clone, Debug)]
pub struct RoomFilter(Regex);

impl RoomFilter {
    /// Reads the setting.
    ///
    /// # Errors
    /// When it is not a regular expression.
    pub fn parse(text: &str) -> Result<Self, regex_lite::Error> {
        Regex::new(text).map(Self)
    }

    /// Whether the room is stored.
    #[must_use]
    pub fn keeps(&self, room: &RoomName) -> bool {
        self.0.is_match(&room.0)
    }
}
