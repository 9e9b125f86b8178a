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
mod rooms;
mod table;

use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
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
pub use table::TableError;

/// What is stored of a message's versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// The latest version and every version: two writes a version.
    #[default]
    Both,
    /// The latest version only.
    Latest,
    /// Every version only; readers find the latest.
    All,
}

impl Versions {
    /// The setting's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Latest => "latest",
            Self::All => "all",
        }
    }
}

/// What is stored of reactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reactions {
    /// The current state.
    #[default]
    Latest,
    /// The current state, and every summary as it arrived.
    Snapshots,
    /// Nothing.
    None,
}

/// Whether rows say who reacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReactionClients {
    /// Client ids, as Ably sends them.
    #[default]
    Ids,
    /// Totals only.
    Totals,
}

/// What is stored. The settings may change at any time: rows of every mode are read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `VERSIONS`.
    pub versions: Versions,
    /// `REACTIONS`.
    pub reactions: Reactions,
    /// `REACTION_CLIENTS`.
    pub reaction_clients: ReactionClients,
    /// `RETENTION_DAYS`: rows expire so long after their message was created.
    pub retention_days: Option<u32>,
}

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
