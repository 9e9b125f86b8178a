//! A record of a Kinesis stream. It is answered in `partial_batch.rs`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exporter::record::NamedRecord;
use crate::exporter::source::Arrival;
use crate::ingest::delivery::{self, Delivery, OnPermanentFailure, Order, Unreadable};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisRecord {
    kinesis: Kinesis,
    #[serde(rename = "eventSourceARN")]
    arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kinesis {
    sequence_number: Option<String>,
    data: Option<String>,
}

/// Reads one record, identified by its sequence number.
pub(super) fn read<'a>(
    raw: &'a RawValue,
    arrival: &Arrival<'_>,
) -> Result<NamedRecord<'a>, Unreadable> {
    let KinesisRecord { kinesis, arn } = delivery::read(raw)?;
    let identifier = kinesis.sequence_number.filter(|number| !number.is_empty());
    let delivery = Delivery {
        source: "kinesis",
        source_arn: arn,
        id: delivery::id(identifier.clone(), raw.get().as_bytes()),
        // Not the stream's time, which is approximate: records of one key come in their order.
        received_at: arrival.received_at,
        is_redelivery: false,
        body: delivery::from_base64(kinesis.data.as_deref(), "kinesis.data"),
        raw: raw.get(),
        on_permanent_failure: OnPermanentFailure::Park,
        order: Order::Stream,
    };
    Ok(NamedRecord::new(delivery, identifier))
}
