//! Ably's wire formats: bytes in, chat events out. No AWS, no async, no clock.
//!
//! [`Decoder`] takes one delivered body, an enveloped event or a batch of them, and answers for each
//! message in it on its own, so that a bad one never takes its neighbours down.
//!
//! Formats: Ably docs "Outbound webhooks", "AWS Lambda integration" and Chat "Integrations".

mod action;
mod encoding;
mod envelope;
mod error;
mod json;
mod message;
mod room;
mod summary;

pub use encoding::{CipherKey, CipherKeyError};
pub use envelope::{Decoder, Entry, Outcome, Skip};
pub use error::{MessageError, PayloadError};
