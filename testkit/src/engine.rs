//! DynamoDB in this process: dynoxide behind its own HTTP server, with the template's table.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::scan::ScanError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, TimeToLiveSpecification,
};
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::template::Template;

/// An item as DynamoDB returns it.
pub type Item = HashMap<String, AttributeValue>;

/// A DynamoDB engine on a free port of this machine; it ends when it is dropped.
#[derive(Debug)]
pub struct Engine {
    /// Where it listens, as `AWS_ENDPOINT_URL_DYNAMODB` takes it.
    pub endpoint: String,
    server: AbortHandle,
}

impl Engine {
    /// The table's name.
    pub const TABLE: &'static str = "chat";

    /// Starts an engine that holds the template's table, empty.
    ///
    /// # Panics
    /// When this machine has no free port, or the engine refuses the template's table.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let database = Database::memory().expect("an in-memory database");
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database)).abort_handle();
        let engine = Self { endpoint: format!("http://{address}"), server };
        engine.create_table().await;
        engine
    }

    /// A client of this engine.
    #[must_use]
    pub fn client(&self) -> Client {
        client(&self.endpoint)
    }

    /// The environment by which a program finds this engine and its table.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        env(&self.endpoint)
    }

    /// Every row, in the order of its key.
    ///
    /// # Panics
    /// When the engine cannot be read.
    pub async fn rows(&self) -> Vec<Item> {
        rows(&self.client()).await.expect("the table can be scanned")
    }

    /// Adds a table with these keys, the partition's first.
    ///
    /// # Panics
    /// When the engine refuses it.
    pub async fn add_table(&self, name: &str, keys: &[(&str, ScalarAttributeType)]) {
        let create = self.client().create_table().table_name(name);
        let mut create = create.billing_mode(BillingMode::PayPerRequest);
        for ((name, of), kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
            let attribute = AttributeDefinition::builder().attribute_name(*name);
            let key = KeySchemaElement::builder().attribute_name(*name).key_type(kind);
            create = create
                .attribute_definitions(attribute.attribute_type(of.clone()).build().expect("both"))
                .key_schema(key.build().expect("name and kind"));
        }
        create.send().await.expect("the engine takes the table");
    }

    async fn create_table(&self) {
        let template = Template::default();
        let client = self.client();
        client
            .create_table()
            .table_name(Self::TABLE)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(template.key_schema()))
            .set_attribute_definitions(Some(template.attribute_definitions()))
            .send()
            .await
            .expect("the engine takes the template's table");
        let ttl = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name(template.ttl_attribute())
            .build()
            .expect("name and switch are set");
        client
            .update_time_to_live()
            .table_name(Self::TABLE)
            .time_to_live_specification(ttl)
            .send()
            .await
            .expect("the engine takes the template's TTL");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Every row of the table, in the order of its key.
///
/// # Errors
/// When the table cannot be read.
pub async fn rows(client: &Client) -> Result<Vec<Item>, SdkError<ScanError>> {
    let items = client.scan().table_name(Engine::TABLE).into_paginator().items().send();
    let mut rows: Vec<Item> = items.try_collect().await?;
    rows.sort_by_key(|row: &Item| ["pk", "sk"].map(|name| row[name].as_s().cloned().ok()));
    Ok(rows)
}

/// A client of a DynamoDB at `endpoint`, without retries.
#[must_use]
pub fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

/// The environment by which a program finds a DynamoDB at `endpoint` and its table.
#[must_use]
pub fn env(endpoint: &str) -> Vec<(String, String)> {
    [
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("TABLE_NAME", Engine::TABLE),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec()
}
