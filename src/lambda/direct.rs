//! A direct invocation: the event is the payload. What Ably's AWS Lambda integration sends, one
//! message each, invoked asynchronously; Ably never sees the answer, Lambda's retries do.

use std::fmt::Write;

use lambda_runtime::Diagnostic;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::ably::PayloadError;
use crate::ingest::{ErrorType, Report};
use crate::lambda::short;

/// Failures named in an error message; the rest are counted, and all of them are logged.
const NAMED_FAILURES: usize = 5;

/// The event as it came. Reading it never fails, so that an event that is not JSON gets this
/// program's answer and not the runtime's.
#[derive(Debug)]
pub struct Event(Result<Box<RawValue>, String>);

impl Event {
    /// The body; or why it is not JSON.
    pub(super) fn body(&self) -> Result<&[u8], PayloadError> {
        let body = self.0.as_deref().map(|json| json.get().as_bytes());
        body.map_err(|reason| PayloadError::NotJson(reason.clone()))
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer).map_err(|error| error.to_string())))
    }
}

/// An invocation with a message that could not be stored.
#[derive(Debug)]
pub struct Failed {
    /// What became of every message.
    pub report: Box<Report>,
    error_type: ErrorType,
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        Self {
            error_type: failed.error_type.as_str().into(),
            error_message: message(&failed.report),
        }
    }
}

/// The answer: the report, or the error that makes Lambda keep the event.
pub(super) fn answer(report: Report) -> Result<Report, Failed> {
    match report.error_type() {
        None => Ok(report),
        Some(error_type) => Err(Failed { report: Box::new(report), error_type }),
    }
}

fn message(report: &Report) -> String {
    let mut text = format!("{} of {} not stored", report.failed.len(), report.received);
    for failure in report.failed.iter().take(NAMED_FAILURES) {
        let written = match (&failure.room, &failure.serial) {
            (Some(room), Some(serial)) => {
                let (room, serial) = (short(&room.0), short(&serial.0));
                write!(text, "; room {room:?} serial {serial:?}: {}", failure.reason)
            }
            (Some(room), None) => write!(text, "; room {:?}: {}", short(&room.0), failure.reason),
            (None, _) => write!(text, "; {}", failure.reason),
        };
        written.expect("writing to a String cannot fail");
    }
    match report.failed.len().saturating_sub(NAMED_FAILURES) {
        0 => {}
        more => write!(text, "; and {more} more").expect("writing to a String cannot fail"),
    }
    text
}
