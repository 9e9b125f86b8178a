//! The way in that every entry point shares: a [`Sink`] stores records together, and what fails
//! permanently is parked with its reason, so that its neighbours can go on.
//!
//! | file | does |
//! |---|---|
//! | `delivery` | what must be known of a record to answer for it |
//! | `sink`, `batch` | body → events → rows, stored together |
//! | `outcome` | what became of a record, and whether its failure is transient or permanent |
//! | `park`, `parked` | sends permanent failures to the failure queue; their form there |
//! | `replay` | opens what comes back from there, or from a failed invocation |
//! | `filter` | which rooms are stored |
//! | `log` | the lines about all this |

mod batch;
pub(crate) mod delivery;
mod filter;
mod intake;
pub(crate) mod log;
pub(crate) mod outcome;
mod park;
pub(crate) mod parked;
mod replay;
mod sink;

pub(crate) use delivery::Attempt;
pub use filter::RoomFilter;
pub use intake::Ingest;
pub use outcome::{ErrorType, Failure, Report};
pub use sink::{Record, Sink};
