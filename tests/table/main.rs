//! What is in the table, and what is read back, through the library and a real DynamoDB engine.

#[path = "../common/mod.rs"]
mod common;

mod convergence;
mod hostile;
mod page;
mod room_index;
