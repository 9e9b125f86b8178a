//! What Kafka and Amazon MQ share: a batch succeeds or fails as a whole. Amazon MQ knows nothing
//! else; Kafka does in provisioned mode only, and takes the list of failures for success in the
//! other (Lambda Developer Guide, "Configuring error handling controls for Kafka event sources"),
//! which the function cannot tell apart.

use serde_json::value::RawValue;

use crate::exporter::source::{Answer, Failed, Reply, Taken, all_or_nothing};
use crate::ingest::delivery::{self, Delivery, OnPermanentFailure, Order, Unreadable};
use crate::ingest::outcome::Outcome;
use crate::lambda::BatchItemFailures;

/// What one record holds.
#[derive(Default)]
pub(super) struct Content {
    /// Its id in its source.
    pub(super) id: Option<String>,
    /// Base64.
    pub(super) data: Option<String>,
    /// Whether its source says that it was handed over before.
    pub(super) is_redelivery: bool,
}

/// The records of an event.
pub(super) struct Batch<'a> {
    source: &'static str,
    arn: Option<String>,
    /// In ms since the epoch.
    received_at: i64,
    deliveries: Vec<Delivery<'a>>,
}

/// Success or failure, and no more.
struct AllOrNothing;

impl<'a> Batch<'a> {
    pub(super) fn new(source: &'static str, arn: Option<String>, received_at: i64) -> Self {
        Self { source, arn, received_at, deliveries: Vec::new() }
    }

    /// Adds a record, whose payload is the base64 in its member `member`.
    pub(super) fn add(
        &mut self,
        raw: &'a RawValue,
        member: &str,
        content: impl FnOnce(&'a RawValue) -> Result<Content, Unreadable>,
    ) {
        let read = content(raw);
        let (Content { id, data, is_redelivery }, unreadable) = match read {
            Ok(content) => (content, None),
            Err(reason) => (Content::default(), Some(reason)),
        };
        let body = unreadable.map_or_else(|| delivery::from_base64(data.as_deref(), member), Err);
        let bytes = body.as_deref().unwrap_or(raw.get().as_bytes());
        let place = self.deliveries.len() as u64;
        self.deliveries.push(Delivery {
            source: self.source,
            source_arn: self.arn.clone(),
            id: delivery::id_of_arrival(id, bytes, self.received_at, place),
            received_at: self.received_at,
            is_redelivery,
            raw: raw.get(),
            on_permanent_failure: OnPermanentFailure::Park,
            order: Order::Batch,
            body,
        });
    }

    pub(super) fn finish(self) -> Result<Taken<'a>, Unreadable> {
        match self.deliveries.is_empty() {
            true => Err("the event holds no records".into()),
            false => Ok(Taken { deliveries: self.deliveries, reply: Box::new(AllOrNothing) }),
        }
    }
}

impl Reply for AllOrNothing {
    fn answer(&self, _: &[Delivery<'_>], ended: Vec<Outcome>) -> Result<Answer, Failed> {
        all_or_nothing(ended).map(|_| Answer::Failures(BatchItemFailures::default()))
    }
}
