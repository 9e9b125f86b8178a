//! A direct invocation: the event is the payload, or one that was kept of an earlier failure. Ably's
//! AWS Lambda integration sends one message each, asynchronously, and never sees the answer;
//! Lambda's retries do, and at last its on-failure destination keeps the event.

use std::borrow::Cow;
use std::fmt::Write;

use lambda_runtime::Diagnostic;

use crate::ingest::{ErrorType, Failure, Report};
use crate::lambda::delivery::{Delivery, IfRefused, Order};
use crate::lambda::{kept, short};

/// Failures named in an error message; the rest are counted, and all of them are logged.
const NAMED_FAILURES: usize = 5;

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
    if let Some(kept) = kept::open(event) {
        delivery.source = "replay";
        delivery.id = kept.id;
        delivery.received_at = kept.received_at.unwrap_or(received_at);
        delivery.body = kept.body;
    }
    delivery
}

fn message(report: &Report) -> String {
    let failed: Vec<_> = report.failed.iter().collect();
    format!("{} of {} not stored; {}", failed.len(), report.received, reasons(&failed))
}

/// Some failures in words, separated by semicolons.
pub(super) fn reasons(failed: &[&Failure]) -> String {
    let mut text = String::new();
    for (index, failure) in failed.iter().take(NAMED_FAILURES).enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        let written = match (&failure.room, &failure.serial) {
            (Some(room), Some(serial)) => {
                let (room, serial) = (short(&room.0), short(&serial.0));
                write!(text, "{separator}room {room:?} serial {serial:?}: {}", failure.reason)
            }
            (Some(room), None) => {
                write!(text, "{separator}room {:?}: {}", short(&room.0), failure.reason)
            }
            (None, _) => write!(text, "{separator}{}", failure.reason),
        };
        written.expect("writing to a String cannot fail");
    }
    match failed.len().saturating_sub(NAMED_FAILURES) {
        0 => {}
        more => write!(text, "; and {more} more").expect("writing to a String cannot fail"),
    }
    text
}
