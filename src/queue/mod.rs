//! The Ably Queue consumer: a long-running program for what no Lambda can subscribe to (Ably docs
//! "Ably Queues"). It declares and binds nothing, which Ably refuses; it takes messages, stores them
//! through the same [`crate::intake`] as the function, and acknowledges them only then.

mod address;
mod session;
mod status;

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

pub use address::{Address, QueueName};
pub use status::{Status, check, serve};

use crate::intake::Intake;
use session::{Ended, Session};

/// Pauses between attempts, with jitter: to connect again, and to store again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What the broker refuses is tried so often: it may have been a moment's disorder.
const REFUSALS: u32 = 3;

/// Consumes one or more queues.
#[derive(Debug)]
pub struct Consumer {
    /// Stores, and parks.
    pub intake: Intake,
    /// Where the queues are.
    pub address: Address,
    /// Which they are.
    pub queues: Vec<QueueName>,
    /// Messages that the broker hands over before the first of them is acknowledged, of each queue.
    pub prefetch: u16,
    /// What monitoring sees.
    pub status: Status,
}

/// The broker refuses, and will go on refusing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Consumer {
    /// Consumes until `shutdown` completes; then finishes what is in flight and returns. Connects
    /// again after anything that may pass.
    ///
    /// # Errors
    /// When the broker has refused the credentials, the virtual host or a queue several times.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) -> Result<(), Refused> {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut pauses = pauses();
        let mut refusals = 0;
        loop {
            let session = Session::new(self);
            let ended = match session.begin(shutdown.as_mut()).await {
                Ok(queues) => {
                    (pauses, refusals) = (self::pauses(), 0);
                    session.run(queues, shutdown.as_mut()).await
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Shutdown => return Ok(()),
                Ended::Lost(reason) => tracing::warn!(reason, "connection lost; connecting again"),
                Ended::Refused(reason) => {
                    refusals += 1;
                    if refusals == REFUSALS {
                        return Err(Refused(reason));
                    }
                    tracing::error!(reason, "refused; trying again");
                }
            }
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.as_mut() => return Ok(()),
            }
        }
    }
}

/// Pauses that grow, without end.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(SHORTEST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build()
}
