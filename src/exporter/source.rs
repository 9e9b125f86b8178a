//! The one shape of all event sources: [`Source::read`] takes an event apart into deliveries and a
//! [`Reply`], and [`Reply::answer`] answers for what became of them.

use std::time::Duration;

use futures_util::future::BoxFuture;
use lambda_runtime::Diagnostic;
use serde::Serialize;

use crate::exporter::event::Incoming;
use crate::exporter::webhook_auth::{Refusal, WebhookAuth};
use crate::ingest::delivery::{Delivery, Unreadable};
use crate::ingest::outcome::{Disposition, ErrorType, Outcome, Report, reasons};
use crate::lambda::{BatchItemFailures, Response};

/// An event source.
pub(super) struct Source {
    /// What logs call it.
    pub(super) name: &'static str,
    /// Whether an event is from there, by members that only its events have.
    pub(super) sent: fn(&Incoming<'_>) -> bool,
    /// Takes an event apart.
    pub(super) read: for<'a> fn(&Incoming<'a>, &Arrival<'_>) -> Result<Taken<'a>, Unreadable>,
}

/// How an event arrived.
pub(super) struct Arrival<'a> {
    /// The invocation's id.
    pub(super) request_id: &'a str,
    /// In ms since the epoch.
    pub(super) received_at: i64,
    /// The name of the failure queue: what comes from there goes back there if it still fails.
    pub(super) failure_queue: Option<&'a str>,
}

/// An event taken apart.
pub(super) struct Taken<'a> {
    /// Its records.
    pub(super) deliveries: Vec<Delivery<'a>>,
    /// How its source is answered.
    pub(super) reply: Box<dyn Reply + 'a>,
}

/// A sender that is not admitted: why, and what it is answered.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) answer: Answer,
}

/// Answers an event source.
pub(super) trait Reply: Send + Sync {
    /// Whether the sender is one of ours. Lambda's own permissions see to that, but for webhooks.
    fn admit<'a>(
        &'a self,
        _deliveries: &'a [Delivery<'_>],
        _auth: &'a WebhookAuth,
        _app_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async { Ok(()) })
    }

    /// How long the source waits for the answer, if it is not as long as the invocation lasts.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Whether the answer will be that the sender's rule is wrong.
    fn refuses_rule(&self, _ended: &[Outcome]) -> bool {
        false
    }

    /// Answers for the records, by what became of each, in their order.
    ///
    /// # Errors
    /// When one could not be stored, and the source can be answered with success or failure only:
    /// it then sends the whole event again.
    fn answer(&self, deliveries: &[Delivery<'_>], ended: Vec<Outcome>) -> Result<Answer, Failed>;
}

/// What the function answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a direct invocation.
    Report(Report),
    /// To SQS, Kinesis, Kafka and Amazon MQ.
    Failures(BatchItemFailures),
    /// To a webhook.
    Response(Response),
}

/// An invocation that failed.
#[derive(Debug)]
pub struct Failed {
    /// What became of every message.
    pub report: Box<Report>,
    error_type: ErrorType,
}

impl Failed {
    pub(super) fn new(report: Report) -> Self {
        let error_type = report.error_type().unwrap_or(ErrorType::Retryable);
        Self { report: Box::new(report), error_type }
    }
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        let Failed { report, error_type } = failed;
        let failures: Vec<_> = report.failed.iter().collect();
        let counts = format!("{} of {} not stored", failures.len(), report.received);
        Self {
            error_type: error_type.as_str().into(),
            error_message: format!("{counts}; {}", reasons(&failures)),
        }
    }
}

/// The report of all records together.
pub(super) fn total(ended: Vec<Outcome>) -> Report {
    ended.into_iter().map(|outcome| outcome.report).fold(Report::default(), Report::plus)
}

/// The report of all records, unless one of them has to be handed back.
pub(super) fn all_or_nothing(ended: Vec<Outcome>) -> Result<Report, Failed> {
    let has_failed = ended.iter().any(|outcome| outcome.disposition == Disposition::HandedBack);
    let report = total(ended);
    if has_failed { Err(Failed::new(report)) } else { Ok(report) }
}
