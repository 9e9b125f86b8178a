//! What Ably's payloads say, as values: no engine, no process.

mod decode;
mod events;
