//! `ably-chat-archive` as its users run it, against a stand-in for Ably's REST API and a DynamoDB
//! engine; and the library below it.

mod backfill;
#[path = "../common/mod.rs"]
mod common;
mod errors;
mod help;
mod memory;
mod mending;
mod names;
mod program;
mod reactions;
mod receipts;
mod reconcile;
mod resume;
mod rooms;
mod rows;
mod scale;
mod verify;
mod versions;
