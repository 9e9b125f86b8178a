//! What every function shares, whatever it does: forms of events and answers, deadlines, metrics.

pub(crate) mod batch;
pub(crate) mod deadline;
pub(crate) mod http;
mod metrics;

pub use batch::{BatchItemFailure, BatchItemFailures};
pub use http::Response;
pub use metrics::Metrics;
