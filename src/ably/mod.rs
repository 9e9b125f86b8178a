//! Ably's wire formats: bytes in, chat events out. No AWS, no async, no clock.
//!
//! [`Decoder`] takes one delivered body, an enveloped event or a batch of them, and answers for
//! each message in it on its own, so that a bad one never takes its neighbours down. What Ably's
//! REST API gives is read item by item, by the same rules.
//!
//! Formats: Ably docs "Outbound webhooks", "AWS Lambda integration" and Chat "Integrations".

mod action;
mod body;
mod encoding;
mod entry;
mod envelope;
mod error;
mod fetched;
mod json;
mod members;
mod message;
mod meta;
mod msgpack;
mod published;
mod room;
mod summary;
mod webhook;

pub use body::Body;
pub(crate) use encoding::BASE64;
pub use encoding::CipherKey;
pub use entry::{Entry, Skip, Verdict};
pub use envelope::{Decoder, batches_of_one};
pub use error::{MessageError, PayloadError};
pub use fetched::{Fetched, annotation, chat_message, pub_sub_message};
pub use meta::{Trouble, closed_room, trouble};
pub use published::{Published, envelope_of, request_json};
pub use room::{channel_of, of_channel};
#[cfg(feature = "history")]
pub(crate) use webhook::is_signed;
pub use webhook::{WebhookKeys, WebhookTokens};
