//! Which Ably channels are chat rooms.

use crate::ably::entry::Skip;
use crate::chat::RoomName;

/// Every chat room's channel ends so (Chat spec CHA-RC3c).
const SUFFIX: &str = "::$chat";
/// Where chat messages were before rooms had a single channel (chat-js UPGRADING).
const LEGACY_SUFFIX: &str = "::$chat::$chatMessages";

/// The room behind a channel. Only the one suffix at the very end is taken off: a room may be
/// called `a::$chat::b`, or even `x::$chat`.
///
/// # Errors
/// Why the channel is no room.
pub fn of_channel(channel: &str) -> Result<RoomName, Skip> {
    if channel.starts_with('[') {
        return Err(Skip::Metachannel);
    }
    if channel.ends_with(LEGACY_SUFFIX) {
        return Err(Skip::LegacyRoom);
    }
    channel.strip_suffix(SUFFIX).map(|room| RoomName(room.into())).ok_or(Skip::OtherChannel)
}

/// The channel behind a room.
#[must_use]
pub fn channel_of(room: &RoomName) -> String {
    format!("{room}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_final_suffix_is_taken_off() {
        for room in ["support:42", "a::$chat::b", "x::$chat", "a#b/c?d é🙂", ""] {
            assert_eq!(of_channel(&format!("{room}::$chat")), Ok(RoomName(room.into())));
        }
        assert_eq!(of_channel("support:42"), Err(Skip::OtherChannel));
        assert_eq!(of_channel("a::$chat::b"), Err(Skip::OtherChannel));
        assert_eq!(of_channel("a::$chat::$typingIndicators"), Err(Skip::OtherChannel));
        assert_eq!(of_channel("a::$chat::$chatMessages"), Err(Skip::LegacyRoom));
        assert_eq!(of_channel("[meta]log"), Err(Skip::Metachannel));
    }
}
