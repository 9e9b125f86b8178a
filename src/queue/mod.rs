//! The Ably Queue consumer: a long-running program for what no Lambda can subscribe to (Ably docs
//! "Ably Queues"). It declares and binds nothing, which Ably refuses; it takes messages, stores them
//! through the same [`crate::ingest`] as the function, and acknowledges them only then.

mod address;
mod broker;
mod hand;
mod session;
mod status;

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

pub use address::{Address, QueueName};
pub use status::{Status, check, serve};

use crate::ingest::Ingest;
use crate::mistake::Mistake;
use crate::store::{Health, Store, TableError};
use broker::Ended;
use hand::FIRST_PREFETCH;
use session::Session;

/// Pauses between attempts, with jitter: to connect again, and to store again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What the broker refuses is tried this often: it may have been a moment's disorder.
const REFUSALS: u32 = 3;
/// How often a table that does not answer is asked what it is like, before messages are taken
/// anyway.
const TABLE_CHECKS: usize = 4;

/// Consumes one or more queues.
#[derive(Debug)]
pub struct Consumer {
    ingest: Ingest,
    options: Options,
    status: Status,
}

/// What a consumer consumes, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the queues are.
    pub address: Address,
    /// Which they are.
    pub queues: Vec<QueueName>,
    /// The most messages of a queue in hand at once.
    pub prefetch: u16,
    /// How long a batch is tried before what is not stored goes back to the queue.
    pub patience: Duration,
}

impl Options {
    /// As long as a broker bears: RabbitMQ takes a message for lost that has not been acknowledged
    /// for half an hour (RabbitMQ docs "Consumers", `consumer_timeout`), in older versions for a
    /// quarter of one. A message may wait for the batch before its own.
    pub const PATIENCE: Duration = Duration::from_secs(300);
}

/// The broker refuses, and will go on refusing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Consumer {
    /// A consumer that stores and parks through `ingest`, at the pace of its table, and shows in
    /// `status` how it is.
    #[must_use]
    pub fn new(mut ingest: Ingest, options: Options, status: Status) -> Self {
        ingest.sink.store = ingest.sink.store.paced();
        status.watch(&ingest.sink.store);
        Self { ingest, options, status }
    }

    /// Consumes until `stop` is cancelled; then finishes what is in flight and returns. Connects
    /// again after anything that is transient.
    ///
    /// # Errors
    /// When the broker has refused the credentials, the virtual host or a queue several times.
    pub async fn run(&self, stop: &CancellationToken) -> Result<(), Refused> {
        let mut pauses = pauses();
        // Of parking and storing: they grow until a batch is dealt with.
        let mut store_pauses: Pauses = Box::new(self::pauses());
        let mut refusals = 0;
        let mut prefetch = self.options.prefetch.min(FIRST_PREFETCH);
        let broker = self.options.address.to_string();
        while !stop.is_cancelled() {
            let session = Session::new(self, stop, prefetch);
            let ended = match session.begin().await {
                Ok(queues) => {
                    (pauses, refusals) = (self::pauses(), 0);
                    session.run(queues, &mut store_pauses).await
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Shutdown => return Ok(()),
                Ended::NotStored => continue,
                Ended::TooMuch(fitting) => {
                    tracing::info!(prefetch = fitting, "messages have become big; taking fewer");
                    prefetch = fitting;
                    continue;
                }
                Ended::Lost(reason) => {
                    tracing::warn!(broker, reason, "connection lost; connecting again");
                }
                Ended::Refused(reason) => {
                    refusals += 1;
                    if refusals == REFUSALS {
                        return Err(Refused(format!("{broker}: {reason}")));
                    }
                    tracing::error!(broker, reason, "refused; trying again");
                }
            }
            pause(&mut pauses, stop).await;
        }
        Ok(())
    }

    fn store(&self) -> &Store {
        &self.ingest.sink.store
    }

    /// How the table has been taking messages.
    #[must_use]
    pub fn health(&self) -> Health {
        self.store().health()
    }

    /// Looks whether anything can ever be stored. A table that does not answer is asked again a few
    /// times, and then taken for right.
    ///
    /// # Errors
    /// When a setting is wrong; which.
    pub async fn check_table(&self, stop: &CancellationToken) -> Result<(), Mistake> {
        let mut pauses = pauses().take(TABLE_CHECKS);
        while let Some(checked) = stop.run_until_cancelled(self.store().check()).await {
            let error = match checked {
                Ok(()) => return Ok(()),
                Err(TableError::WrongSetting(reason)) => return Err(Mistake(reason)),
                Err(TableError::Unknown(error)) => error,
            };
            if !error.is_retryable {
                tracing::warn!(reason = %error, "going on without looking at the table");
                return Ok(());
            }
            match pauses.next() {
                Some(length) => {
                    tracing::warn!(reason = %error, "the table does not answer; asking again");
                    wait(length, stop).await;
                }
                None => {
                    tracing::error!(reason = %error, "the table does not answer; going on");
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

type Pauses = Box<dyn Iterator<Item = Duration> + Send>;

/// Pauses that grow, without end.
fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(SHORTEST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build()
}

/// Waits for the next pause to pass, or the stop.
async fn pause(pauses: &mut impl Iterator<Item = Duration>, stop: &CancellationToken) {
    wait(pauses.next().unwrap_or(LONGEST_PAUSE), stop).await;
}

async fn wait(length: Duration, stop: &CancellationToken) {
    // Whichever comes first.
    tokio::time::timeout(length, stop.cancelled()).await.ok();
}
