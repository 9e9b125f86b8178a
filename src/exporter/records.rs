//! SQS and Kinesis: `Records`, each with its own source, answered with those that have to come again
//! (Lambda Developer Guide, "Implementing partial batch responses"). Lambda takes an answer of any
//! other form for success, and a mapping without `ReportBatchItemFailures` does not read it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::delivery::{self, Delivery, Fate, IfRefused, Order};
use crate::kept::{self, Fragment};

/// The records that have to come again.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailures {
    /// In the order of the event.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// A record that has to come again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// SQS: the message id. Kinesis: the sequence number.
    pub item_identifier: String,
}

/// A record, and how its source is told that it has to come again.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) delivery: Delivery<'a>,
    identifier: Option<String>,
    /// What it holds of a record that was parked in pieces.
    piece: Option<Fragment>,
    /// The same of the other pieces, once they are put together.
    others: Vec<Option<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    event_source: Option<String>,
    #[serde(rename = "EventSource")]
    sns_event_source: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SqsRecord<'a> {
    message_id: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    attributes: SqsAttributes,
    #[serde(rename = "eventSourceARN")]
    arn: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SqsAttributes {
    /// In ms since the epoch.
    sent_timestamp: Option<String>,
    message_group_id: Option<String>,
}

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

/// Takes an event's records apart. What comes from the queue called `failure_queue` goes back there
/// if it still fails.
pub(super) fn read<'a>(
    records: &'a RawValue,
    received_at: i64,
    failure_queue: Option<&str>,
) -> Result<Vec<Record<'a>>, String> {
    let records: Vec<&RawValue> =
        serde_json::from_str(records.get()).map_err(|_| "$.Records: expected an array")?;
    if records.is_empty() {
        return Err("$.Records: empty".into());
    }
    Ok(join(records.into_iter().map(|raw| record(raw, received_at, failure_queue)).collect()))
}

/// Puts records that were parked in pieces together, where all pieces are there: the first of them
/// becomes the record, and the others share its fate.
fn join(mut records: Vec<Record<'_>>) -> Vec<Record<'_>> {
    let mut wholes: BTreeMap<_, BTreeMap<usize, usize>> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        if let Some(Fragment { whole, number, .. }) = &record.piece {
            wholes.entry(whole.clone()).or_default().insert(*number, index);
        }
    }
    let mut joined = BTreeSet::new();
    for ((_, _, of), indices) in wholes {
        let Some((_, &first)) = indices.first_key_value().filter(|_| indices.len() == of) else {
            continue;
        };
        let pieces = indices.values().filter_map(|&index| records[index].piece.as_ref());
        records[first].delivery.body = kept::join(pieces).map(Cow::Owned);
        for &index in indices.values().filter(|index| **index != first) {
            let identifier = records[index].identifier.take();
            records[first].others.push(identifier);
            joined.insert(index);
        }
    }
    let records = records.into_iter().enumerate();
    records.filter(|(index, _)| !joined.contains(index)).map(|(_, record)| record).collect()
}

fn record<'a>(raw: &'a RawValue, received_at: i64, failure_queue: Option<&str>) -> Record<'a> {
    let read = delivery::read::<Envelope>(raw).and_then(|envelope| {
        match envelope.event_source.or(envelope.sns_event_source).as_deref() {
            Some("aws:sqs") => sqs(raw, received_at, failure_queue),
            Some("aws:kinesis") => kinesis(raw, received_at),
            Some(other) if other.starts_with("aws:") && other.len() < 32 => {
                Err(format!("eventSource: {other:?} is neither aws:sqs nor aws:kinesis"))
            }
            Some(_) => Err("eventSource: neither aws:sqs nor aws:kinesis".into()),
            None => Err("eventSource: missing".into()),
        }
    });
    read.unwrap_or_else(|reason| Record {
        delivery: Delivery {
            source: "unknown",
            source_arn: None,
            id: delivery::id(None, raw.get().as_bytes()),
            received_at,
            body: Err(reason),
            raw: raw.get(),
            if_refused: IfRefused::Park,
            order: Order::Free,
        },
        identifier: None,
        piece: None,
        others: Vec::new(),
    })
}

fn sqs<'a>(
    raw: &'a RawValue,
    received_at: i64,
    failure_queue: Option<&str>,
) -> Result<Record<'a>, String> {
    let record: SqsRecord<'_> = delivery::read(raw)?;
    let identifier = record.message_id.filter(|id| !id.is_empty());
    let queue = record.arn.as_deref().and_then(|arn| arn.rsplit(':').next()).unwrap_or_default();
    let SqsAttributes { sent_timestamp, message_group_id } = record.attributes;
    // A standard queue may have groups too, and keeps no order in them.
    let order = match message_group_id {
        Some(group) if queue.ends_with(".fifo") => Order::Group(format!("{queue}/{group}")),
        _ => Order::Free,
    };
    // The queue's time orders what came out of order; in a group, the order of delivery is right.
    let sent_at = sent_timestamp.and_then(|sent| sent.parse().ok());
    let sent_at = sent_at.filter(|_| order == Order::Free);
    let if_refused = match failure_queue {
        Some(name) if name == queue => IfRefused::HandBack,
        _ => IfRefused::Park,
    };
    let body = match record.body.map(|body| serde_json::from_str::<String>(body.get())) {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => Err("body: expected a string".to_owned()),
        None => Err("body: missing".to_owned()),
    };
    let piece = match (if_refused, &body) {
        (IfRefused::HandBack, Ok(text)) => kept::fragment(text),
        _ => None,
    };
    let mut delivery = Delivery {
        source: "sqs",
        id: delivery::id(identifier.clone(), raw.get().as_bytes()),
        source_arn: record.arn,
        received_at: sent_at.unwrap_or(received_at),
        body: body.map(|text| Cow::Owned(text.into_bytes())),
        raw: raw.get(),
        if_refused,
        order,
    };
    delivery.open();
    Ok(Record { delivery, identifier, piece, others: Vec::new() })
}

fn kinesis(raw: &RawValue, received_at: i64) -> Result<Record<'_>, String> {
    let KinesisRecord { kinesis, arn } = delivery::read(raw)?;
    let identifier = kinesis.sequence_number.filter(|number| !number.is_empty());
    let delivery = Delivery {
        source: "kinesis",
        source_arn: arn,
        id: delivery::id(identifier.clone(), raw.get().as_bytes()),
        // Not the stream's time, which is approximate: records of one key come in their order.
        received_at,
        body: delivery::from_base64(kinesis.data.as_deref(), "kinesis.data"),
        raw: raw.get(),
        if_refused: IfRefused::Park,
        order: Order::Stream,
    };
    Ok(Record { delivery, identifier, piece: None, others: Vec::new() })
}

/// Names the records that have to come again; `None` if one of them has no name, in which case the
/// whole event has to.
pub(super) fn failures<'a>(
    ended: impl Iterator<Item = (&'a Record<'a>, Fate)> + Clone,
) -> Option<BatchItemFailures> {
    let has_failed = |fate| fate == Fate::Failed;
    let orders = ended.clone().map(|(record, fate)| (&record.delivery.order, has_failed(fate)));
    let mut failures = BatchItemFailures::default();
    for ((record, fate), is_held) in ended.zip(delivery::held(orders)) {
        let is_named = match &record.delivery.order {
            // Lambda goes on from the first that is named.
            Order::Stream => has_failed(fate) && !is_held,
            Order::Free | Order::Group(_) | Order::Batch => has_failed(fate) || is_held,
        };
        if is_named {
            for identifier in std::iter::once(&record.identifier).chain(&record.others) {
                let item_identifier = identifier.clone()?;
                failures.batch_item_failures.push(BatchItemFailure { item_identifier });
            }
        }
    }
    Some(failures)
}
