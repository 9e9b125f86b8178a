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
mod page;
mod plan;
mod rooms;

use std::sync::OnceLock;

use aws_sdk_dynamodb::Client;
use tokio::time::Instant;

pub use archive::{
    Archived, ArchivedMessages, ReactionsRow, VersionRow, VersionsDigest, differences, hex,
    version_line,
};
pub use condition::Condition;
pub use document::Document;
pub use error::{StoreError, Unstorable};
pub use key::Key;
pub use page::{Direction, Page, PageRequest, Start, StoredMessage};
pub use plan::{Observation, Put, Rows};

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
}

impl Store {
    /// A store over a table that exists.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>, settings: Settings) -> Self {
        Self { client, notes: OnceLock::new(), table: table.into(), settings }
    }

    /// What is stored.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Writes one row if its condition holds. The SDK retries transient failures until `deadline`;
    /// after that, no request is even built.
    ///
    /// # Errors
    /// When the table could not be asked, or refused the row.
    pub async fn write(&self, put: Put, deadline: Instant) -> Result<Written, StoreError> {
        if Instant::now() >= deadline {
            return Err(StoreError::deadline("dynamodb:PutItem", &self.table));
        }
        let (expression, names, values) = put.condition.expression();
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(put.into_item()))
            .condition_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values);
        match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(_)) => Ok(Written::Stored),
            Ok(Err(error)) if error::lost_the_race(&error) => Ok(Written::Superseded),
            Ok(Err(error)) => Err(StoreError::from_sdk("dynamodb:PutItem", &self.table, &error)),
            Err(_) => Err(StoreError::deadline("dynamodb:PutItem", &self.table)),
        }
    }
}
