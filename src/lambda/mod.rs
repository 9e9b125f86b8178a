//! The Lambda function: an event source's invocation becomes records for [`crate::ingest`], and the
//! reports become the answer that source understands.

mod direct;
mod logs;
mod metrics;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::LambdaEvent;
use tokio::time::Instant;

pub use direct::{Event, Failed};
pub use logs::init_logs;
pub use metrics::Metrics;

use crate::ingest::{Ingest, Record, Report};

/// Kept back from the invocation's time to answer in.
const TIME_TO_ANSWER: Duration = Duration::from_millis(400);
/// Lambda's longest time-out.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);

/// The function, built once and lent to every invocation.
pub struct Function {
    ingest: Ingest,
    metrics: Metrics,
}

impl Function {
    /// A function that ingests through `ingest`.
    #[must_use]
    pub fn new(ingest: Ingest, metrics: Metrics) -> Self {
        Self { ingest, metrics }
    }

    /// Handles one invocation.
    ///
    /// # Errors
    /// When a message could not be stored: Lambda then invokes again with the same event, twice,
    /// and at last hands it to the on-failure destination.
    pub async fn handle(&self, event: LambdaEvent<Event>) -> Result<Report, Failed> {
        let LambdaEvent { payload, context } = event;
        let (started, received_at) = (Instant::now(), now());
        let deadline = started + time_to_write(context.deadline, received_at);
        let report = match payload.body() {
            Ok(body) => {
                let record = Record { id: &context.request_id, body };
                let mut reports = self.ingest.ingest(&[record], received_at, deadline).await;
                reports.pop().unwrap_or_default()
            }
            Err(error) => Report::unreadable(&error),
        };
        logs::log(&context.request_id, &report, started.elapsed());
        self.metrics.emit(&context.env_config.function_name, &report, now());
        direct::answer(report)
    }
}

/// The beginning of a name, enough to find it by: a hostile one may have megabytes.
fn short(name: &str) -> &str {
    const MOST_BYTES: usize = 256;
    name.get(..name.floor_char_boundary(MOST_BYTES)).unwrap_or_default()
}

/// How long writes may take until `deadline`, in ms since the epoch as `now` is. Emulators of the
/// Runtime API give deadlines of 1970 or none: whoever answers so waits as long as Lambda ever does.
fn time_to_write(deadline: u64, now: i64) -> Duration {
    match deadline.checked_sub(u64::try_from(now).unwrap_or(0)) {
        None | Some(0) => LONGEST_INVOCATION,
        Some(left) => Duration::from_millis(left).saturating_sub(TIME_TO_ANSWER),
    }
}

/// The time in ms since the epoch, by this machine's clock.
fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(short("room"), "room");
        assert_eq!(short(&"é".repeat(200)), "é".repeat(128));
        assert_eq!(short(&format!("x{}", "é".repeat(200))), format!("x{}", "é".repeat(127)));
    }

    #[test]
    fn writes_end_before_the_deadline() {
        assert_eq!(time_to_write(10_000, 5_000), Duration::from_millis(4_600));
        assert_eq!(time_to_write(5_100, 5_000), Duration::ZERO);
    }

    /// `cargo lambda watch` sends 600000, which is a time-out and not a time.
    #[test]
    fn regression_a_deadline_that_is_past_on_arrival_is_none() {
        assert_eq!(time_to_write(600_000, 1_767_225_600_000), LONGEST_INVOCATION);
        assert_eq!(time_to_write(0, 1_767_225_600_000), LONGEST_INVOCATION);
    }
}
