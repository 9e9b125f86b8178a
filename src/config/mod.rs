//! Settings: the only reader of the environment, once, at start. All mistakes are reported
//! together. The AWS SDK reads its own variables (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, …).

#[cfg(feature = "reconcile")]
mod ably_rest;
mod exporter;
#[cfg(feature = "history")]
mod history;
#[cfg(feature = "queue")]
mod queue;
mod reader;

#[cfg(feature = "reconcile")]
pub use ably_rest::{AblyRestConfig, pace};
pub use exporter::{Config, Switch};
#[cfg(feature = "history")]
pub use history::HistoryConfig;
#[cfg(feature = "queue")]
pub use queue::QueueConfig;
pub use reader::ConfigError;
