//! Kafka (MSK and self-managed) and Amazon MQ (RabbitMQ and ActiveMQ): a batch succeeds or fails as a
//! whole. Amazon MQ knows nothing else; Kafka does in provisioned mode only, and takes the list of
//! failures for success in the other (Lambda Developer Guide, "Configuring error handling controls
//! for Kafka event sources"), which the function cannot tell apart.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::delivery::{self, Delivery, IfRefused, Order};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KafkaEvent<'a> {
    event_source_arn: Option<String>,
    /// By topic and partition.
    #[serde(borrow)]
    records: BTreeMap<String, Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct KafkaRecord {
    offset: Option<u64>,
    value: Option<String>,
}

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
    data: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BasicProperties {
    message_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActiveMqEvent<'a> {
    event_source_arn: Option<String>,
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ActiveMqMessage {
    #[serde(rename = "messageID")]
    message_id: Option<String>,
    data: Option<String>,
}

/// What one record holds: its id in its source, and base64.
type Content = (Option<String>, Option<String>);

/// Takes a Kafka event apart. A record is known by partition and offset.
pub(super) fn kafka(event: &str, received_at: i64) -> Result<Vec<Delivery<'_>>, String> {
    let event: KafkaEvent<'_> = serde_json::from_str(event)
        .map_err(|_| "$.records: expected arrays of records by topic and partition")?;
    let source = Source { name: "kafka", arn: event.event_source_arn, member: "value" };
    let records = event
        .records
        .iter()
        .flat_map(|(partition, records)| records.iter().map(move |raw| (*raw, partition.as_str())));
    let deliveries = (0..).zip(records).map(|(place, (raw, partition))| {
        source.delivery(raw, (received_at, place), || {
            let KafkaRecord { offset, value } = delivery::read(raw)?;
            Ok((offset.map(|offset| format!("{partition}@{offset}")), value))
        })
    });
    some(deliveries.collect())
}

/// Takes an event of Amazon MQ for RabbitMQ apart.
pub(super) fn rabbit_mq(event: &str, received_at: i64) -> Result<Vec<Delivery<'_>>, String> {
    let event: RabbitMqEvent<'_> = serde_json::from_str(event)
        .map_err(|_| "$.rmqMessagesByQueue: expected arrays of messages by queue")?;
    let source = Source { name: "rabbitmq", arn: event.event_source_arn, member: "data" };
    let messages = event.rmq_messages_by_queue.values().flatten();
    let deliveries = (0..).zip(messages).map(|(place, raw)| {
        source.delivery(raw, (received_at, place), || {
            let RabbitMqMessage { basic_properties, data } = delivery::read(raw)?;
            Ok((basic_properties.message_id, data))
        })
    });
    some(deliveries.collect())
}

/// Takes an event of Amazon MQ for ActiveMQ apart.
pub(super) fn active_mq(event: &str, received_at: i64) -> Result<Vec<Delivery<'_>>, String> {
    let event: ActiveMqEvent<'_> =
        serde_json::from_str(event).map_err(|_| "$.messages: expected an array of messages")?;
    let source = Source { name: "activemq", arn: event.event_source_arn, member: "data" };
    let deliveries = (0..).zip(&event.messages).map(|(place, raw)| {
        source.delivery(raw, (received_at, place), || {
            let ActiveMqMessage { message_id, data } = delivery::read(raw)?;
            Ok((message_id, data))
        })
    });
    some(deliveries.collect())
}

fn some(deliveries: Vec<Delivery<'_>>) -> Result<Vec<Delivery<'_>>, String> {
    if deliveries.is_empty() { Err("the event holds no records".into()) } else { Ok(deliveries) }
}

struct Source {
    name: &'static str,
    arn: Option<String>,
    /// Which member of a record holds the payload.
    member: &'static str,
}

impl Source {
    fn delivery<'a>(
        &self,
        raw: &'a RawValue,
        (received_at, place): (i64, u64),
        content: impl FnOnce() -> Result<Content, String>,
    ) -> Delivery<'a> {
        let (id, body) = match content() {
            Ok((id, data)) => (id, delivery::from_base64(data.as_deref(), self.member)),
            Err(reason) => (None, Err(reason)),
        };
        let bytes = body.as_deref().unwrap_or(raw.get().as_bytes());
        Delivery {
            source: self.name,
            source_arn: self.arn.clone(),
            id: delivery::id_of_arrival(id, bytes, received_at, place),
            received_at,
            raw: raw.get(),
            if_refused: IfRefused::Park,
            order: Order::Batch,
            body,
        }
    }
}
