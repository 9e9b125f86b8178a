//! Who calls, and what they may do: decided by the keys of `HISTORY_KEYS`, before anything is read
//! of the table, and without Ably wherever that can be.
//!
//! API keys and the JWTs that they signed are verified here (Ably docs, "JWTs", "Capabilities").
//! What Ably alone can read, it is asked about if `HISTORY_ASK_ABLY` is on. Refusals have the codes
//! that keep Ably's SDKs from repeating them without end: 40142 for an expired token, and no other
//! of 40140 to 40149 (ably-js issue 2193).

mod ask;
mod capability;
mod credentials;
mod encoding;
mod gate;
mod identity;
mod jwt;
mod keys;
mod rate;
mod recent;
mod request;
#[cfg(test)]
mod tests;

pub(super) use encoding::decode_text;
pub use gate::Gate;
pub use keys::HistoryKeys;
pub use request::{Caller, Operation, Request};
