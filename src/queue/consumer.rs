//! A consumer: what it consumes, where it stores, and whether that table is one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ingest::Ingest;
use crate::mistake::Mistake;
use crate::queue::address::{Address, QueueName};
use crate::queue::pauses::{pauses, wait};
use crate::queue::status::Status;
use crate::store::{Health, Store, TableError};

/// How often a table that does not answer is asked what it is like, before messages are taken
/// anyway.
const TABLE_CHECKS: usize = 4;

/// Consumes one or more queues.
#[derive(Debug)]
pub struct Consumer {
    pub(super) ingest: Ingest,
    pub(super) options: Options,
    pub(super) status: Status,
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

impl Consumer {
    /// A consumer that stores and parks through `ingest`, at the pace of its table, and shows in
    /// `status` how it is.
    #[must_use]
    pub fn new(mut ingest: Ingest, options: Options, status: Status) -> Self {
        ingest.sink.store = ingest.sink.store.paced();
        status.watch(&ingest.sink.store);
        Self { ingest, options, status }
    }

    pub(super) fn store(&self) -> &Store {
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
