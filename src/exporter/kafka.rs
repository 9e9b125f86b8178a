//! Kafka (MSK and self-managed).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exporter::event::Incoming;
use crate::exporter::source::{Arrival, Source, Taken};
use crate::exporter::whole_batch::{Batch, Content};
use crate::ingest::delivery::{self, Unreadable};

pub(super) const SOURCE: Source = Source {
    name: "kafka",
    sent: |event| event.shape.records.is_some() && event.event_source.ends_with("afka"),
    read,
};

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

/// Takes an event apart. A record is identified by partition and offset.
fn read<'a>(event: &Incoming<'a>, arrival: &Arrival<'_>) -> Result<Taken<'a>, Unreadable> {
    let event: KafkaEvent<'a> = serde_json::from_str(event.raw).map_err(|_| {
        Unreadable::from("$.records: expected arrays of records by topic and partition")
    })?;
    let mut batch = Batch::new(SOURCE.name, event.event_source_arn, arrival.received_at);
    for (partition, records) in event.records {
        for raw in records {
            batch.add(raw, "value", |raw| {
                let KafkaRecord { offset, value } = delivery::read(raw)?;
                let id = offset.map(|offset| format!("{partition}@{offset}"));
                Ok(Content { id, data: value, is_redelivery: false })
            });
        }
    }
    batch.finish()
}
