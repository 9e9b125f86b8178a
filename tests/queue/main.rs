//! The built queue consumer, against a real RabbitMQ and a real DynamoDB engine.

#[path = "../common/mod.rs"]
mod common;

mod consumer;
