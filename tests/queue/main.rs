//! The built queue consumer, against a real RabbitMQ and a real DynamoDB engine.

#[path = "../common/mod.rs"]
mod common;
mod messages;
mod process;
mod rabbit;

mod crashes;
mod memory;
mod order;
mod outages;
mod poison;
mod refusals;
mod shutdown;
mod start;
mod two_ways;
