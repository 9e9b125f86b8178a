//! The exporter's function: takes an event apart by its `source`, ingests the records, and
//! answers as that source understands.
//!
//! One file for each event source, all of one shape: `direct`, `sqs` and `kinesis` over
//! `partial_batch`, `kafka` and `rabbitmq` over `whole_batch`, `webhook` with `webhook_auth`;
//! `unknown` refuses.

mod direct;
mod event;
mod kafka;
mod kinesis;
mod partial_batch;
mod rabbitmq;
mod record;
mod source;
mod sqs;
mod unknown;
mod webhook;
mod webhook_auth;
mod whole_batch;

use lambda_runtime::{Context, LambdaEvent};
use tokio::time::Instant;

pub use event::Event;
pub use source::{Answer, Failed};
pub use webhook_auth::WebhookAuth;

use crate::aws::sqs::SqsQueue;
use crate::ingest::delivery::{Delivery, OnPermanentFailure, Order, Unreadable};
use crate::ingest::outcome::{Disposition, Outcome, Report};
use crate::ingest::{Attempt, Ingest, log};
use crate::lambda::Metrics;
use crate::lambda::deadline::time_to_write;
use crate::time::now;
use source::{Arrival, Refused, Source, Taken};

/// All event sources, in the order in which an event is tried on them. The last takes any.
const SOURCES: [&Source; 6] = [
    &partial_batch::SOURCE,
    &kafka::SOURCE,
    &rabbitmq::SOURCE,
    &webhook::SOURCE,
    &unknown::SOURCE,
    &direct::SOURCE,
];

/// The function, built once and lent to every invocation.
pub struct Function {
    /// Takes records in.
    pub ingest: Ingest,
    /// Who may send webhooks.
    pub webhook_auth: WebhookAuth,
    /// Counts.
    pub metrics: Metrics,
}

/// One invocation.
struct Call<'a> {
    context: &'a Context,
    started: Instant,
    /// In ms since the epoch.
    received_at: i64,
}

impl Function {
    /// Handles one invocation.
    ///
    /// # Errors
    /// When something could not be stored, and the event source can be answered with success or
    /// failure only: it then sends the whole event again.
    pub async fn handle(&self, event: LambdaEvent<Event>) -> Result<Answer, Failed> {
        let LambdaEvent { payload, context } = event;
        let (started, received_at) = (Instant::now(), now());
        let call = Call { context: &context, started, received_at };
        let event = payload.open().map_err(|reason| {
            let reason = Unreadable(format!("the event is not JSON: {reason}"));
            self.fail(&call, "unknown", &reason)
        })?;
        let arrival = Arrival {
            request_id: &context.request_id,
            received_at,
            failure_queue: self.ingest.failure_queue.as_ref().map(SqsQueue::name),
        };
        let sent = |source: &&Source| (source.sent)(&event);
        let source = SOURCES.into_iter().find(sent).unwrap_or(&direct::SOURCE);
        let Taken { deliveries, reply } = (source.read)(&event, &arrival)
            .map_err(|reason| self.fail(&call, source.name, &reason))?;
        let app_id = self.ingest.sink.decoder.app_id.as_deref();
        let admitted = reply.admit(&deliveries, &self.webhook_auth, app_id).await;
        if let Err(Refused { refusal, answer }) = admitted {
            log::refused(&context.request_id, source.name, refusal.status, &refusal.reason);
            self.count_refused(&call, refusal.kind());
            return Ok(answer);
        }
        let time = time_to_write(context.deadline, received_at, event.raw.len());
        let deadline = started + reply.patience().map_or(time, |patience| patience.min(time));
        let outcomes = self.ingest(&call, deadline, &deliveries).await;
        if reply.refuses_rule(&outcomes) {
            self.count_refused(&call, "rule");
        }
        reply.answer(&deliveries, outcomes)
    }

    /// Takes records in, and counts; an outcome for each record.
    async fn ingest(
        &self,
        call: &Call<'_>,
        deadline: Instant,
        deliveries: &[Delivery<'_>],
    ) -> Vec<Outcome> {
        let attempt = Attempt {
            request_id: &call.context.request_id,
            function_version: &call.context.env_config.version,
            deadline,
        };
        let outcomes = self.ingest.ingest(attempt, deliveries).await;
        self.conclude(call, &outcomes);
        outcomes
    }

    /// An event of which nothing can be used.
    fn fail(&self, call: &Call<'_>, source: &'static str, reason: &Unreadable) -> Failed {
        let request_id = &call.context.request_id;
        let report = Report::unreadable(reason);
        let outcomes = [Outcome { disposition: Disposition::HandedBack, report }];
        let delivery = Delivery {
            source,
            source_arn: None,
            id: request_id.clone(),
            received_at: call.received_at,
            is_redelivery: false,
            body: Err(reason.clone()),
            raw: "",
            on_permanent_failure: OnPermanentFailure::HandBack,
            order: Order::Free,
        };
        log::not_stored(request_id, &[delivery], &outcomes);
        self.conclude(call, &outcomes);
        let [Outcome { report, .. }] = outcomes;
        Failed::new(report)
    }

    /// Counts a webhook that was not taken in, by what the metric's dimension says of it.
    fn count_refused(&self, call: &Call<'_>, reason: &str) {
        self.metrics.refused(&call.context.env_config.function_name, reason, now());
    }

    fn conclude(&self, call: &Call<'_>, outcomes: &[Outcome]) {
        log::invocation(&call.context.request_id, outcomes, call.started.elapsed());
        self.metrics.emit(&call.context.env_config.function_name, outcomes, now());
    }
}
