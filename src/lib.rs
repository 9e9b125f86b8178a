//! Exports Ably Chat into DynamoDB.
//!
//! A delivered body goes one way: [`lambda`] takes an event source's records apart, or `queue` takes
//! them from an Ably Queue; [`ingest`] has [`ably`] decode each into [`chat`] values and [`store`]
//! write them as conditional puts; and the outcome of each record goes back the way it came, or what
//! is wrong for good to the failure queue ([`sqs`]), which [`intake`] sees to. What Ably did not deliver,
//! `backfill` finds through `rest` and mends; `reconcile` does so on a schedule. [`config`] alone reads
//! the environment.

pub mod ably;
pub mod aws;
#[cfg(feature = "reconcile")]
pub mod backfill;
pub mod chat;
pub mod config;
#[path = "ingest/delivery.rs"]
mod delivery;
#[path = "ingest/sink.rs"]
pub mod ingest;
#[path = "ingest/mod.rs"]
pub mod intake;
#[path = "ingest/parked.rs"]
mod kept;
#[path = "exporter/mod.rs"]
pub mod lambda;
pub mod logs;
#[path = "ingest/park.rs"]
mod park;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(feature = "reconcile")]
pub mod reconcile;
#[cfg(feature = "reconcile")]
pub mod rest;
#[path = "store/room_index.rs"]
pub mod room_index;
#[path = "aws/secret.rs"]
pub mod secret;
#[path = "aws/sqs.rs"]
pub mod sqs;
pub mod store;
pub mod time;
