//! Pauses between attempts: to connect again, to store again, to look at the table again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
pub(super) type Pauses = Box<dyn Iterator<Item = Duration> + Send>;

/// Pauses that grow, without end.
pub(super) fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(SHORTEST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build()
}

/// Waits for the next pause to pass, or the stop.
pub(super) async fn pause(pauses: &mut impl Iterator<Item = Duration>, stop: &CancellationToken) {
    wait(pauses.next().unwrap_or(LONGEST_PAUSE), stop).await;
}

pub(super) async fn wait(length: Duration, stop: &CancellationToken) {
    // Whichever comes first.
    tokio::time::timeout(length, stop.cancelled()).await.ok();
}
