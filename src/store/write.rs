//! Writes rows, each under its condition.

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::store::condition::Condition;
use crate::store::error::StoreError;
use crate::store::put::Put;
use crate::store::table::{Store, Written};

/// Writes in flight at once: as few as keep one processor busy against a table that answers in 5 ms
/// (`make bench`). Each is a connection, which costs a TLS handshake once, and about 60 KB.
const CONCURRENCY: usize = 72;

impl Store {
    /// Writes one row if its condition holds. What is transient is retried until `deadline`: by the
    /// SDK, within its quota, or at the pace of the table ([`Store::paced`]). After that, no
    /// request is even built.
    ///
    /// # Errors
    /// When the table could not be asked, or refused the row.
    pub async fn write(&self, put: Put, deadline: Instant) -> Result<Written, StoreError> {
        match put.condition {
            Condition::Older(_) => self.replace_left(put, deadline).await,
            _ => self.write_one(put, deadline).await,
        }
    }

    /// Writes rows, many at once; a result for each of them in their order.
    pub async fn write_all(
        &self,
        rows: Vec<Put>,
        deadline: Instant,
    ) -> Vec<Result<Written, StoreError>> {
        let mut written: Vec<_> = stream::iter(rows.into_iter().enumerate())
            // Lets one write get onto the wire before the next one is signed: the waiting for the
            // table and the work for it overlap.
            .then(async |row| {
                tokio::task::yield_now().await;
                row
            })
            .map(|(row, put)| async move { (row, self.write(put, deadline).await) })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        written.sort_unstable_by_key(|(row, _)| *row);
        written.into_iter().map(|(_, written)| written).collect()
    }
}
