//! What a chat message is, and which of two is newer. Pure values: no JSON spelling of Ably's
//! events, no DynamoDB attribute, no clock.
//!
//! Field names and defaults are those of Ably's Chat SDK (`Message`, spec points CHA-M2 to CHA-M4).

mod event;
mod json_text;
mod message;
mod reactions;
mod room;
mod version;

pub use event::ChatEvent;
pub(crate) use json_text::InOrder;
pub use json_text::JsonText;
pub use message::{ChatMessage, Data, RawData};
pub use reactions::{Annotation, ClientIdCounts, ClientIdList, Reactions, Summary, SummaryOf};
pub use room::RoomName;
pub use version::{Action, Serial, Version};
