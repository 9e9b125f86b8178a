//! The table of one app, and one attempt at one put.

use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use tokio::time::{Instant, timeout_at};

use crate::store::error::{self, StoreError};
use crate::store::fast_path::{self, FastPath};
use crate::store::pace::{Health, Pace};
use crate::store::put::Put;
use crate::store::settings::Settings;

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
    pub(super) client: Client,
    /// Notes rooms; made when it is first needed.
    pub(super) notes: OnceLock<Client>,
    pub(super) table: String,
    pub(super) settings: Settings,
    pub(super) fast_path: FastPath,
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
        let (table, notes) = (table.into(), OnceLock::new());
        let fast_path = FastPath::new(&table, settings.bulk_inserts);
        Self { client, notes, table, settings, fast_path, paced: None }
    }

    /// A store that writes at the pace of the table, for whoever has time: [`Store::write`] then
    /// tries again what is transient until its deadline, whatever the SDK's quota of retries, and
    /// begins no more writes than the table takes. Clones share the pace.
    #[must_use]
    pub fn paced(mut self) -> Self {
        let client = fast_path::without_retries(&self.client);
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

    pub(super) fn pace(&self) -> Option<&Pace> {
        self.paced.as_ref().map(|paced| paced.pace.as_ref())
    }

    /// A client that does not try again by itself.
    pub(super) fn client_of_inserts(&self) -> &Client {
        match &self.paced {
            Some(paced) => &paced.client,
            None => self.fast_path.client(&self.client),
        }
    }

    /// What is stored.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    pub(super) async fn write_one(
        &self,
        put: Put,
        deadline: Instant,
    ) -> Result<Written, StoreError> {
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
    pub(super) fn put_item(&self) -> PutItemFluentBuilder {
        let client = self.paced.as_ref().map_or(&self.client, |paced| &paced.client);
        client.put_item().table_name(&self.table)
    }

    /// Attempts a put at the store's pace, or once where it has none: the SDK tries again then.
    pub(super) async fn put_until<T, F: Future<Output = Result<T, StoreError>>>(
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
