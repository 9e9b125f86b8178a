//! Exports Ably Chat into DynamoDB.
//!
//! A delivered body goes one way: [`lambda`] takes an event source's records apart, or `queue` takes
//! them from an Ably Queue; [`ingest`] has [`ably`] decode each into [`chat`] values and [`store`]
//! write them as conditional puts; and the outcome of each record goes back the way it came, or what
//! is wrong for good to the [`failure_queue`], which [`intake`] sees to. [`config`] alone reads the
//! environment.

pub mod ably;
pub mod aws;
pub mod chat;
mod clock;
pub mod config;
mod delivery;
pub mod failure_queue;
pub mod ingest;
pub mod intake;
mod kept;
pub mod lambda;
pub mod logs;
#[cfg(feature = "queue")]
pub mod queue;
pub mod secret;
pub mod store;
