//! The Ably Queue consumer: a long-running program for what no Lambda can subscribe to (Ably docs
//! "Ably Queues"). It declares and binds nothing, which Ably refuses; it takes messages, stores
//! them through the same [`crate::ingest`] as the function, and acknowledges them only then.

mod address;
mod broker;
mod consumer;
mod hand;
mod pauses;
mod run;
mod session;
mod status;

pub use address::{Address, QueueName};
pub use consumer::{Consumer, Options};
pub use run::Refused;
pub use status::{Status, check, serve};
