//! Exports Ably Chat into DynamoDB.
//!
//! A delivered body goes one way: [`lambda`] takes an event source's records apart, [`ingest`] has
//! [`ably`] decode each into [`chat`] values and [`store`] write them as conditional puts, and the
//! outcome of each record goes back the way it came, or what is wrong for good to the
//! [`failure_queue`]. [`config`] alone reads the environment.

pub mod ably;
pub mod aws;
pub mod chat;
pub mod config;
pub mod failure_queue;
pub mod ingest;
pub mod lambda;
pub mod secret;
pub mod store;
