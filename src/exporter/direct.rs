//! A direct invocation: the event is the payload, or one that was kept of an earlier failure. Ably's
//! AWS Lambda integration sends one message each, asynchronously, and never sees the answer;
//! Lambda's retries do, and at last its on-failure destination keeps the event.

use std::borrow::Cow;

use lambda_runtime::Diagnostic;

use crate::delivery::{Delivery, IfRefused, Order};
use crate::ingest::{ErrorType, Report, reasons};

/// An invocation with a record that could not be stored.
#[derive(Debug)]
pub struct Failed {
    /// What became of every message.
    pub report: Box<Report>,
    error_type: ErrorType,
}

impl Failed {
    /// The failure that `report` tells of.
    pub(super) fn new(report: Report) -> Self {
        let error_type = report.error_type().unwrap_or(ErrorType::Retryable);
        Self { report: Box::new(report), error_type }
    }
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        Self {
            error_type: failed.error_type.as_str().into(),
            error_message: message(&failed.report),
        }
    }
}

/// The event on its way in.
pub(super) fn delivery<'a>(event: &'a str, request_id: &str, received_at: i64) -> Delivery<'a> {
    let mut delivery = Delivery {
        source: "direct",
        source_arn: None,
        id: request_id.into(),
        received_at,
        body: Ok(Cow::Borrowed(event.as_bytes())),
        raw: event,
        if_refused: IfRefused::HandBack,
        order: Order::Free,
    };
    if delivery.open() {
        delivery.source = "replay";
    }
    delivery
}

fn message(report: &Report) -> String {
    let failed: Vec<_> = report.failed.iter().collect();
    format!("{} of {} not stored; {}", failed.len(), report.received, reasons(&failed))
}
