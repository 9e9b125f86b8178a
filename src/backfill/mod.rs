//! Finds what Ably did not deliver, and repairs it: walks Ably's history of a room, compares each
//! page with the table, writes what is absent under the same conditions as live data, and leaves a
//! receipt.

mod ask;
mod chunk;
mod compare;
mod context;
mod finding;
mod outcome;
mod page;
mod progress;
mod receipt;
mod rooms;
mod run;
mod scope;
mod stop;
mod verify;
mod walk;
mod work;

pub use context::{Backfill, Repair};
pub use finding::{Finding, Gap};
pub use outcome::{Observer, WalkError, Walked};
pub use receipt::{PageReceipt, Receipt, Tally, Window, receipts};
pub use rooms::{DaysSeen, active_rooms, days_seen, stored_rooms};
pub use scope::Scope;
pub use stop::Stop;
pub use verify::{Verified, verify};
pub(crate) use work::Work;
