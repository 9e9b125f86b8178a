//! Amazon MQ for RabbitMQ.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::exporter::event::Incoming;
use crate::exporter::source::{Arrival, Source, Taken};
use crate::exporter::whole_batch::{Batch, Content};
use crate::ingest::delivery::{self, Unreadable};

pub(super) const SOURCE: Source =
    Source { name: "rabbitmq", sent: |event| event.shape.rmq_messages_by_queue.is_some(), read };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RabbitMqEvent<'a> {
    event_source_arn: Option<String>,
    /// By queue and virtual host.
    #[serde(borrow)]
    rmq_messages_by_queue: BTreeMap<String, Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RabbitMqMessage {
    #[serde(default)]
    basic_properties: BasicProperties,
    /// A hint: no form of it keeps a message out.
    #[serde(default)]
    redelivered: Value,
    data: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BasicProperties {
    message_id: Option<String>,
}

fn read<'a>(event: &Incoming<'a>, arrival: &Arrival<'_>) -> Result<Taken<'a>, Unreadable> {
    let event: RabbitMqEvent<'a> = serde_json::from_str(event.raw).map_err(|_| {
        Unreadable::from("$.rmqMessagesByQueue: expected arrays of messages by queue")
    })?;
    let mut batch = Batch::new(SOURCE.name, event.event_source_arn, arrival.received_at);
    for raw in event.rmq_messages_by_queue.into_values().flatten() {
        batch.add(raw, "data", |raw| {
            let RabbitMqMessage { basic_properties, redelivered, data } = delivery::read(raw)?;
            let (id, is_redelivery) = (basic_properties.message_id, redelivered == true);
            Ok(Content { id, data, is_redelivery })
        });
    }
    batch.finish()
}
