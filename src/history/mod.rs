//! The read API: the table as Ably's Chat REST API serves a room, so that Ably's own SDKs read it;
//! and publishing, which goes to Ably with the caller's own credentials.
//!
//! A request goes one way: [`auth`] decides who calls, `params` reads what for, `read` gathers a
//! page, from the table or by `window` from Ably too, and `answer` gives it the caller's form. What
//! is to be published goes through `forward` and [`publish`] instead.

mod answer;
mod api;
pub mod auth;
mod error;
mod forward;
mod gaps;
mod params;
pub mod publish;
mod reactions;
mod read;
mod routes;
mod upstream;
mod window;

pub use answer::AnswerLimit;
pub use api::{History, Invocation, Source};
pub use error::ApiError;
pub use gaps::Gaps;
pub use routes::router;
pub use upstream::Upstream;
