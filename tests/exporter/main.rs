//! The built function, as Lambda runs it, against a real DynamoDB engine.

#[path = "../common/mod.rs"]
mod common;

mod cipher_key;
mod deliveries;
mod faults;
mod function;
mod metrics;
mod samples;
mod webhooks;
