//! Random chat histories, the deliveries that bring them, what must be left of them, and the
//! programs that they go through.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod function;
pub mod histories;
pub mod history;
mod model;
mod ops;
pub mod reading;
pub mod sources;

use std::time::Duration;

use ably_chat_exporter::ably::Decoder;
use ably_chat_exporter::ingest::{Record, Report, Sink};
use ably_chat_exporter::store::{Settings, Store};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use testkit::Engine;
use tokio::time::Instant;

pub use self::model::{Model, Seen};
pub use self::ops::{Delivery, EPOCH, Op, OpKind, ROOMS, serial};

/// An ingest into the engine.
pub fn ingest(engine: &Engine, settings: Settings) -> Sink {
    let store = Store::new(engine.client(), Engine::TABLE, settings);
    Sink { decoder: Decoder::default(), store, room_filter: None, room_index: None }
}

/// Ingests one body as one record.
pub async fn send(ingest: &Sink, id: &str, body: &[u8]) -> Report {
    let deadline = Instant::now() + Duration::from_secs(30);
    ingest
        .store_records(&[Record { id, body, received_at: EPOCH, is_redelivery: false }], deadline)
        .await
        .remove(0)
}

/// What clients of a service at `endpoint` are made from, in this process.
pub fn sdk(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}
