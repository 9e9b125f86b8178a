//! What is in the table, and what is read back, through the library and a real DynamoDB engine.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/json.rs"]
mod json;
mod payload;

mod aside;
mod convergence;
mod inserts;
mod limits;
mod metadata;
mod page;
mod raw;
mod reaction_totals;
mod reactions;
mod room_index;
mod rooms;
