//! The built function, as Lambda runs it, against a real DynamoDB engine.

#[path = "../common/mod.rs"]
mod common;
mod world;

mod batches;
mod bulk_inserts;
mod cipher_key;
mod crashes;
mod direct;
mod faults;
mod limits;
mod logs;
mod metrics;
mod order;
mod outages;
mod parking;
mod parking_large;
mod replay;
mod room_notes;
mod samples;
mod settings;
mod two_sources;
mod unreadable;
mod webhooks;
