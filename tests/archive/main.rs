//! `ably-chat-archive` as its users run it, against a stand-in for Ably's REST API and a DynamoDB
//! engine; and the library below it.

mod backfill;
#[path = "../common/mod.rs"]
mod common;
mod mending;
mod program;
mod regressions;
mod scale;
