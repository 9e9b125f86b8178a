//! What one Ably message says.

use crate::chat::message::ChatMessage;
use crate::chat::reactions::{Summary, SummaryOf};

/// What one Ably message says about a room.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatEvent {
    /// A message was created, updated or deleted. A summary that rides along is a mere
    /// observation: its absence says nothing.
    Version(Box<ChatMessage>, Option<Summary>),
    /// The reactions to a message changed; this is all of them.
    Reactions(SummaryOf),
}
