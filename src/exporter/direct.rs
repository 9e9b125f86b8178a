//! A direct invocation: the event is the payload, or one that comes back from an earlier failure.
//! Ably's AWS Lambda integration sends one message each, asynchronously, and never sees the answer;
//! Lambda's retries do, and at last its on-failure destination keeps the event.

use std::borrow::Cow;

use crate::exporter::event::Incoming;
use crate::exporter::source::{
    Answer, Arrival, Failed, Reply as ReplyTo, Source, Taken, all_or_nothing,
};
use crate::ingest::delivery::{Delivery, OnPermanentFailure, Order, Unreadable};
use crate::ingest::outcome::Outcome;

pub(super) const SOURCE: Source = Source { name: "direct", sent: |_| true, read };

/// The report of all messages, or the first failures in words.
struct Reply;

fn read<'a>(event: &Incoming<'a>, arrival: &Arrival<'_>) -> Result<Taken<'a>, Unreadable> {
    let mut delivery = Delivery {
        source: SOURCE.name,
        source_arn: None,
        id: arrival.request_id.into(),
        received_at: arrival.received_at,
        is_redelivery: false,
        body: Ok(Cow::Borrowed(event.raw.as_bytes())),
        raw: event.raw,
        on_permanent_failure: OnPermanentFailure::HandBack,
        order: Order::Free,
    };
    if delivery.open() {
        delivery.source = "replay";
    }
    Ok(Taken { deliveries: vec![delivery], reply: Box::new(Reply) })
}

impl ReplyTo for Reply {
    fn answer(&self, _: &[Delivery<'_>], ended: Vec<Outcome>) -> Result<Answer, Failed> {
        all_or_nothing(ended).map(Answer::Report)
    }
}
