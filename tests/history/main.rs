//! The read API as its callers see it: `ably-chat-archive serve` over a DynamoDB engine, beside a
//! stand-in for Ably's REST API.

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod errors;
mod merged;
mod pages;
mod publish;
mod publish_checks;
mod publish_faults;
mod publish_world;
mod scale;
mod server;
mod through;
