//! What Ably's payloads say, as values: no engine, no process.

#[path = "../common/json.rs"]
mod json;
mod reading;

mod any_message;
mod encodings;
mod encryption;
mod events;
mod mapping;
mod messagepack;
mod odd_members;
mod skips;
mod summaries;
