//! A record of SQS: a standard or FIFO queue that Ably sends to, or the failure queue. It is
//! answered in `partial_batch.rs`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::exporter::record::NamedRecord;
use crate::exporter::source::Arrival;
use crate::ingest::delivery::{self, Delivery, OnPermanentFailure, Order, Unreadable};
use crate::ingest::parked;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SqsRecord<'a> {
    message_id: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    attributes: Attributes,
    #[serde(rename = "eventSourceARN")]
    arn: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    /// In ms since the epoch.
    sent_timestamp: Option<String>,
    /// A hint: no form of it keeps a message out.
    #[serde(default)]
    approximate_receive_count: Value,
    message_group_id: Option<String>,
}

/// Reads one record. What comes from the failure queue goes back there if it still fails.
pub(super) fn read<'a>(
    raw: &'a RawValue,
    arrival: &Arrival<'_>,
) -> Result<NamedRecord<'a>, Unreadable> {
    let record: SqsRecord<'_> = delivery::read(raw)?;
    let identifier = record.message_id.filter(|id| !id.is_empty());
    let queue = record.arn.as_deref().and_then(|arn| arn.rsplit(':').next()).unwrap_or_default();
    let Attributes { sent_timestamp, approximate_receive_count, message_group_id } =
        record.attributes;
    // A standard queue may have groups too, and keeps no order in them.
    let order = match message_group_id {
        Some(group) if queue.ends_with(".fifo") => Order::Group(format!("{queue}/{group}")),
        _ => Order::Free,
    };
    // The queue's time orders what came out of order; in a group, the order of delivery is right.
    let sent_at = sent_timestamp.and_then(|sent| sent.parse().ok());
    let sent_at = sent_at.filter(|_| order == Order::Free);
    let is_replay = arrival.failure_queue == Some(queue);
    let body = match record.body.map(|body| serde_json::from_str::<String>(body.get())) {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => Err(Unreadable::from("body: expected a string")),
        None => Err(Unreadable::from("body: missing")),
    };
    let piece = body.as_deref().ok().filter(|_| is_replay).and_then(parked::fragment);
    let mut delivery = Delivery {
        source: "sqs",
        id: delivery::id(identifier.clone(), raw.get().as_bytes()),
        source_arn: record.arn,
        received_at: sent_at.unwrap_or(arrival.received_at),
        is_redelivery: approximate_receive_count.as_str().is_some_and(|count| count != "1"),
        body: body.map(|text| Cow::Owned(text.into_bytes())),
        raw: raw.get(),
        on_permanent_failure: match is_replay {
            true => OnPermanentFailure::HandBack,
            false => OnPermanentFailure::Park,
        },
        order,
    };
    delivery.open();
    Ok(NamedRecord { piece, ..NamedRecord::new(delivery, identifier) })
}
