//! Exports Ably Chat into DynamoDB.
//!
//! A delivered body goes one way. [`exporter`] takes an event source's records apart, or `queue`
//! takes them from an Ably Queue. [`ingest`] has [`ably`] decode each into [`chat`] values and
//! [`store`] write them as conditional puts. Each record's outcome goes back to its source;
//! permanent failures go to the failure queue. What Ably did not deliver, `backfill` finds through
//! `rest` and repairs; `reconcile` does so on a schedule. [`config`] alone reads the environment,
//! and [`setup`] makes parts of settings.
//!
//! From the top down; nothing uses what is above it (`scripts/check_layers.py`):
//!
//! | module | holds |
//! |---|---|
//! | [`setup`] | settings become parts |
//! | [`config`] | the environment |
//! | [`exporter`], `reconcile`, `history`, `queue` | the functions, and the consumer |
//! | [`lambda`] | what functions share |
//! | [`ingest`], `backfill` | deliveries into the table; history into the table |
//! | [`store`], `rest` | DynamoDB; Ably's REST API |
//! | [`aws`] | what AWS clients share, SQS, secrets |
//! | [`ably`] | Ably's wire formats |
//! | [`logs`] | what all programs log by |
//! | [`chat`], [`time`], [`mistake`] | values; the clock; what is wrong with a setting |

pub mod ably;
pub mod aws;
#[cfg(feature = "reconcile")]
pub mod backfill;
pub mod chat;
pub mod config;
pub mod exporter;
#[cfg(feature = "history")]
pub mod history;
pub mod ingest;
pub mod lambda;
pub mod logs;
pub mod mistake;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(feature = "reconcile")]
pub mod reconcile;
#[cfg(feature = "reconcile")]
pub mod rest;
pub mod setup;
pub mod store;
pub mod time;
