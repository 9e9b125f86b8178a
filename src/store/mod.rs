//! The table: which rows a chat event leaves, the conditions that make them converge, and how they
//! are read back. The only user of the DynamoDB SDK, and the only one that knows keys and
//! attributes.
//!
//! | row | `pk` | `sk` | put only if |
//! |---|---|---|---|
//! | latest version of a message | room name | `message#<serial>` | none there, or an older one |
//! | one version of a message | room name | `version#<serial>#<version.serial>` | none there |
//! | current reactions of a message | room name | `reactions#<serial>` | none there, or not a newer one |
//! | reaction snapshot | room name | `snapshot#<serial>#<delivery id>` | none there |
//! | one reaction of one client | room name | `reaction#<serial>#<annotation serial>` | none there |
//! | receipt, checkpoint, state | room name | `receipt#…`, `checkpoint#…`, `state#…` | always |
//! | a room was seen on a day | `rooms#<day>#<shard>` | `room#<room name>` | seen later |

mod archive;
mod attribute;
mod condition;
mod document;
mod error;
mod item;
mod key;
mod left;
mod pace;
mod page;
mod plan;
mod room_index;
mod rooms;
mod settings;
mod table;

use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use pace::Pace;

pub use archive::{
    Archived, ArchivedMessages, ReactionsRow, VersionRow, VersionsDigest, differences, hex,
    version_line,
};
pub use condition::Condition;
pub use document::Document;
pub use error::{StoreError, Unstorable};
pub use key::Key;
pub use pace::Health;
pub use page::{Direction, Page, PageRequest, Start, StoredMessage};
pub use plan::{Observation, Put, Rows};
pub use room_index::RoomIndex;
pub use settings::{KeepReactions, KeepVersions, ReactionClients, Settings};
pub use table::TableError;

/// Writes in flight at once: as few as keep one processor busy against a table that answers in 5 ms
/// (`make bench`). Each is a connection, which costs a TLS handshake once, and some 60 KB.
const CONCURRENCY: usize = 72;

/// What a write did. Finding the same or a newer row already there is an outcome, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The row is the one that was sent.
    Stored,
    /// The row that was there stays.
    Superseded,
}

/// The table of one Ably app.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    /// Notes rooms; made when it is first needed.
    notes: OnceLock<Client>,
    table: String,
    settings: Settings,
    paced: Option<Paced>,
}

/// What writes at the table's pace: a client that does not retry by itself, and the pace.
#[derive(Clone, Debug)]
struct Paced {
    client: Client,
    pace: Arc<Pace>,
}

impl Store {
    /// A store over a table that exists.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>, settings: Settings) -> Self {
        Self { client, notes: OnceLock::new(), table: table.into(), settings, paced: None }
    }

    /// A store that writes at the pace of the table, for whoever has time: [`Store::write`] then
    /// tries again what is transient until its deadline, whatever the SDK's quota of retries, and
    /// begins no more writes than the table takes. Clones share the pace.
    #[must_use]
    pub fn paced(mut self) -> Self {
        let config = self.client.config().to_builder().retry_config(RetryConfig::disabled());
        let client = Client::from_conf(config.build());
        self.paced = Some(Paced { client, pace: Arc::new(Pace::new()) });
        self
    }

    /// Ends all writes of a paced store, those that begin later too, at `end` at the latest.
    pub fn finish_by(&self, end: Instant) {
        if let Some(Paced { pace, .. }) = &self.paced {
            pace.finish_by(end);
        }
    }

    /// How the table has been taking the writes of a paced store.
    #[must_use]
    pub fn health(&self) -> Health {
        self.paced.as_ref().map(|paced| paced.pace.health()).unwrap_or_default()
    }

    /// What is stored.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

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

    async fn write_one(&self, put: Put, deadline: Instant) -> Result<Written, StoreError> {
        if Instant::now() >= deadline {
            return Err(StoreError::deadline("dynamodb:PutItem", &self.table));
        }
        let (expression, names, values) = put.condition.expression();
        let request = self
            .put_item()
            .set_item(Some(put.into_item()))
            .condition_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values);
        self.put_until(deadline, request, |request| self.put(request)).await
    }

    /// A put of the client that keeps to the store's pace, if it has one.
    fn put_item(&self) -> PutItemFluentBuilder {
        let client = self.paced.as_ref().map_or(&self.client, |paced| &paced.client);
        client.put_item().table_name(&self.table)
    }

    /// Attempts a put at the store's pace, or once where it has none: the SDK tries again then.
    async fn put_until<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        deadline: Instant,
        request: PutItemFluentBuilder,
        attempt: impl Fn(PutItemFluentBuilder) -> F,
    ) -> Result<T, StoreError> {
        let late = || StoreError::deadline("dynamodb:PutItem", &self.table);
        match &self.paced {
            Some(Paced { pace, .. }) => {
                pace.write(deadline, || attempt(request.clone()), late).await
            }
            None => timeout_at(deadline, attempt(request)).await.unwrap_or_else(|_| Err(late())),
        }
    }

    async fn put(&self, request: PutItemFluentBuilder) -> Result<Written, StoreError> {
        match request.send().await {
            Ok(_) => Ok(Written::Stored),
            Err(error) if error::lost_the_race(&error) => Ok(Written::Superseded),
            Err(error) => Err(StoreError::from_sdk("dynamodb:PutItem", &self.table, &error)),
        }
    }
}
