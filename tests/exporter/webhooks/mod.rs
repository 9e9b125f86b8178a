//! Who may send webhooks, and what they are answered.

mod secrets;
mod signatures;
mod signed;
mod statuses;
mod tokens;
