//! Writes rows, each under its condition.

use futures_util::future::{BoxFuture, join};
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::store::condition::Condition;
use crate::store::error::StoreError;
use crate::store::insert::{self, Inserted, Row};
use crate::store::put::Put;
use crate::store::table::{Store, Written};

/// Puts in flight at once: as few as keep one processor busy against a table that answers in 5 ms
/// (`make bench`). Each is a connection, which costs a TLS handshake once, and about 60 KB.
const PUTS: usize = 50;
/// Requests in flight at once that insert rows.
const REQUESTS: usize = 8;
/// New rows from which on they are inserted, many in one request. Fewer are as fast as puts, and
/// need no further code.
const FEWEST_INSERTS: usize = 4;

/// A row's place among those that are written together, and what became of it.
type Ended = (usize, Result<Written, StoreError>);

/// Rows that are written together.
struct Writing<'a> {
    store: &'a Store,
    deadline: Instant,
    /// One for each put in flight.
    puts: Semaphore,
}

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

    /// Writes rows, many at once, in any order; a result for each of them in theirs. New rows are
    /// inserted, where there are some; what that does not settle, a put under the row's condition
    /// does.
    pub async fn write_all(
        &self,
        rows: Vec<Put>,
        deadline: Instant,
    ) -> Vec<Result<Written, StoreError>> {
        let writing = Writing { store: self, deadline, puts: Semaphore::new(PUTS) };
        let (new, others) = writing.divide(rows.into_iter().enumerate());
        let inserts = stream::iter(insert::requests(new))
            .map(|rows| writing.insert(rows))
            .buffer_unordered(REQUESTS)
            .concat();
        let (mut ended, others) = join(inserts, writing.put(others)).await;
        ended.extend(others);
        ended.sort_unstable_by_key(|(row, _)| *row);
        ended.into_iter().map(|(_, written)| written).collect()
    }
}

impl Writing<'_> {
    /// The rows to insert, and the others.
    fn divide(&self, rows: impl Iterator<Item = Row>) -> (Vec<Row>, Vec<Row>) {
        if !self.store.can_insert(self.deadline) {
            return (Vec::new(), rows.collect());
        }
        let (new, mut others): (Vec<Row>, Vec<Row>) =
            rows.partition(|(_, put)| put.is_likely_absent());
        if new.len() < FEWEST_INSERTS {
            others.extend(new);
            return (Vec::new(), others);
        }
        (new, others)
    }

    /// Inserts the rows of one request, and puts what that does not settle.
    async fn insert(&self, rows: Vec<Row>) -> Vec<Ended> {
        if !self.store.can_insert(self.deadline) {
            return self.put(rows).await;
        }
        let inserted = self.store.insert(&rows, self.deadline).await;
        let none_is_right = inserted.iter().all(|it| *it == Inserted::Invalid);
        let (mut ended, mut left) = (Vec::with_capacity(rows.len()), Vec::new());
        for ((row, put), inserted) in rows.into_iter().zip(inserted) {
            match (inserted, &put.condition) {
                (Inserted::Stored, _) => ended.push((row, Ok(Written::Stored))),
                (Inserted::Duplicate, Condition::Absent) => {
                    ended.push((row, Ok(Written::Superseded)));
                }
                _ => left.push((row, put)),
            }
        }
        ended.extend(self.put(left).await);
        if none_is_right && ended.iter().any(|(_, written)| written.is_ok()) {
            // A put shows that a row was right, so that its statement was not.
            self.store.fast_path.close("ValidationError, though the rows are right");
        }
        ended
    }

    /// Puts rows under their conditions, many at once.
    fn put(&self, rows: Vec<Row>) -> BoxFuture<'_, Vec<Ended>> {
        let puts = stream::iter(rows)
            // Lets one write get onto the wire before the next one is signed: the waiting for the
            // table and the work for it overlap.
            .then(async |row| {
                tokio::task::yield_now().await;
                row
            })
            .map(move |(row, put)| async move {
                // Never closed.
                let _permit = self.puts.acquire().await;
                (row, self.store.write(put, self.deadline).await)
            })
            .buffer_unordered(PUTS)
            .collect();
        Box::pin(puts)
    }
}
