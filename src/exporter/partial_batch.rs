//! SQS and Kinesis: `Records`, each with its own source, answered with those that have to come
//! again ([`crate::lambda::batch`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exporter::event::Incoming;
use crate::exporter::record::NamedRecord;
use crate::exporter::source::{Answer, Arrival, Failed, Reply, Source, Taken, total};
use crate::exporter::{kinesis, sqs};
use crate::ingest::delivery::{self, Delivery, OnPermanentFailure, Order, Unreadable};
use crate::ingest::outcome::{Disposition, Outcome};
use crate::ingest::parked::{self, Fragment};
use crate::lambda::{BatchItemFailure, BatchItemFailures};

pub(super) const SOURCE: Source =
    Source { name: "records", sent: |event| event.shape.aws_records.is_some(), read };

/// Reads a record of one source.
type ReadRecord = for<'a> fn(&'a RawValue, &Arrival<'_>) -> Result<NamedRecord<'a>, Unreadable>;

/// Who reads a record, by its `eventSource`.
const READERS: [(&str, ReadRecord); 2] = [("aws:sqs", sqs::read), ("aws:kinesis", kinesis::read)];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    event_source: Option<String>,
    #[serde(rename = "EventSource")]
    sns_event_source: Option<String>,
}

/// Names the records that have to come again: of each record, all its identifiers.
struct Names(Vec<Vec<Option<String>>>);

fn read<'a>(event: &Incoming<'a>, arrival: &Arrival<'_>) -> Result<Taken<'a>, Unreadable> {
    let records = event.shape.aws_records.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let records: Vec<&'a RawValue> =
        records.ok_or_else(|| Unreadable::from("$.Records: expected an array"))?;
    if records.is_empty() {
        return Err("$.Records: empty".into());
    }
    let records = join(records.into_iter().map(|raw| record(raw, arrival)).collect());
    let (deliveries, names) = records
        .into_iter()
        .map(|NamedRecord { delivery, identifier, others, .. }| {
            (delivery, std::iter::once(identifier).chain(others).collect())
        })
        .unzip();
    Ok(Taken { deliveries, reply: Box::new(Names(names)) })
}

fn record<'a>(raw: &'a RawValue, arrival: &Arrival<'_>) -> NamedRecord<'a> {
    let read = delivery::read::<Envelope>(raw).and_then(|envelope| {
        let source = envelope.event_source.or(envelope.sns_event_source);
        let source = source.ok_or_else(|| Unreadable::from("eventSource: missing"))?;
        match READERS.iter().find(|(name, _)| *name == source) {
            Some((_, read)) => read(raw, arrival),
            None if source.starts_with("aws:") && source.len() < 32 => Err(Unreadable(format!(
                "eventSource: {source:?} is neither aws:sqs nor aws:kinesis"
            ))),
            None => Err("eventSource: neither aws:sqs nor aws:kinesis".into()),
        }
    });
    read.unwrap_or_else(|reason| {
        let delivery = Delivery {
            source: "unknown",
            source_arn: None,
            id: delivery::id(None, raw.get().as_bytes()),
            received_at: arrival.received_at,
            is_redelivery: false,
            body: Err(reason),
            raw: raw.get(),
            on_permanent_failure: OnPermanentFailure::Park,
            order: Order::Free,
        };
        NamedRecord::new(delivery, None)
    })
}

/// Puts records that were parked in pieces together, where all pieces are there: the first of them
/// becomes the record, and the others share its end.
fn join(mut records: Vec<NamedRecord<'_>>) -> Vec<NamedRecord<'_>> {
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
        records[first].delivery.body = parked::join(pieces).map(Cow::Owned);
        for &index in indices.values().filter(|index| **index != first) {
            let identifier = records[index].identifier.take();
            records[first].others.push(identifier);
            joined.insert(index);
        }
    }
    let records = records.into_iter().enumerate();
    records.filter(|(index, _)| !joined.contains(index)).map(|(_, record)| record).collect()
}

impl Names {
    /// The records that have to come again; `None` if one of them has no name, in which case the
    /// whole event has to.
    fn failures(
        &self,
        deliveries: &[Delivery<'_>],
        ended: &[Outcome],
    ) -> Option<BatchItemFailures> {
        let orders = deliveries.iter().zip(ended).map(|(delivery, outcome)| {
            (&delivery.order, outcome.disposition == Disposition::HandedBack)
        });
        let mut failures = BatchItemFailures::default();
        let held = delivery::held(orders.clone());
        for ((names, (order, has_failed)), is_held) in self.0.iter().zip(orders).zip(held) {
            let is_named = match order {
                // Lambda goes on from the first that is named.
                Order::Stream => has_failed && !is_held,
                Order::Free | Order::Group(_) | Order::Batch => has_failed || is_held,
            };
            for name in names.iter().filter(|_| is_named) {
                let item_identifier = name.clone()?;
                failures.batch_item_failures.push(BatchItemFailure { item_identifier });
            }
        }
        Some(failures)
    }
}

impl Reply for Names {
    fn answer(&self, deliveries: &[Delivery<'_>], ended: Vec<Outcome>) -> Result<Answer, Failed> {
        match self.failures(deliveries, &ended) {
            Some(failures) => Ok(Answer::Failures(failures)),
            None => Err(Failed::new(total(ended))),
        }
    }
}
