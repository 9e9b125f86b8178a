//! The Lambda function: an event source's invocation becomes records for [`crate::ingest`], and the
//! outcomes become the answer that source understands.

#[path = "whole_batch.rs"]
mod brokers;
mod direct;
mod event;
#[path = "webhook.rs"]
mod http;
#[path = "../lambda/metrics.rs"]
mod metrics;
mod records;

use std::time::Duration;

use lambda_runtime::{Context, LambdaEvent};
use serde::Serialize;
use tokio::time::Instant;

pub use direct::Failed;
pub use event::Event;
pub use http::{Response, WebhookAuth};
pub use metrics::Metrics;
pub use records::{BatchItemFailure, BatchItemFailures};

use crate::delivery::{Delivery, Fate, Outcome};
use crate::ingest::Report;
use crate::intake::{Intake, Occasion};
use crate::sqs::SqsQueue;
use crate::{logs, time::now};
use event::Source;

/// Kept back from the invocation's time to answer in; and for each MB of the event besides, since
/// more messages take longer to count and to let go of: measured at an eighth of a processor.
const TIME_TO_ANSWER: Duration = Duration::from_millis(400);
const TIME_TO_ANSWER_A_MB: Duration = Duration::from_millis(100);
/// Ably waits 15 s for a webhook's answer, and then sends it again.
const WEBHOOK_TIME: Duration = Duration::from_secs(14);
/// Lambda's longest time-out.
pub(crate) const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);

/// The function, built once and lent to every invocation.
pub struct Function {
    /// Takes records in.
    pub intake: Intake,
    /// Who may send webhooks.
    pub webhook_auth: WebhookAuth,
    /// Counts.
    pub metrics: Metrics,
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

/// One invocation.
struct Call<'a> {
    context: &'a Context,
    started: Instant,
    /// In ms since the epoch.
    received_at: i64,
    deadline: Instant,
}

impl Function {
    /// Handles one invocation.
    ///
    /// # Errors
    /// When something could not be stored, and the event source cannot be told what: it then sends
    /// the whole event again.
    pub async fn handle(&self, event: LambdaEvent<Event>) -> Result<Answer, Failed> {
        let LambdaEvent { payload, context } = event;
        let (started, received_at) = (Instant::now(), now());
        let deadline = started + time_to_write(context.deadline, received_at, payload.bytes());
        let call = Call { context: &context, started, received_at, deadline };
        match payload.source() {
            Source::Direct(event) => {
                let id = &context.request_id;
                let outcomes = self.take(&call, &[&direct::delivery(event, id, received_at)]).await;
                whole(outcomes).map(Answer::Report)
            }
            Source::Records(event) => {
                let failure_queue = self.intake.failure_queue.as_ref().map(SqsQueue::name);
                let records = records::read(event, received_at, failure_queue);
                let records = records.map_err(|reason| self.refuse(&call, "records", &reason))?;
                let deliveries: Vec<_> = records.iter().map(|record| &record.delivery).collect();
                let outcomes = self.take(&call, &deliveries).await;
                let ended = records.iter().zip(outcomes.iter().map(|outcome| outcome.fate));
                match records::failures(ended) {
                    Some(failures) => Ok(Answer::Failures(failures)),
                    None => Err(Failed::new(total(outcomes))),
                }
            }
            Source::Kafka(event) => {
                self.all(&call, "kafka", brokers::kafka(event, received_at)).await
            }
            Source::RabbitMq(event) => {
                self.all(&call, "rabbitmq", brokers::rabbit_mq(event, received_at)).await
            }
            Source::ActiveMq(event) => {
                self.all(&call, "activemq", brokers::active_mq(event, received_at)).await
            }
            Source::Http(event) => self.webhook(call, event).await,
            Source::Unknown(reason) => Err(self.refuse(&call, "unknown", &reason)),
        }
    }

    /// An event of a source that is told of success or failure and no more.
    async fn all(
        &self,
        call: &Call<'_>,
        source: &'static str,
        deliveries: Result<Vec<Delivery<'_>>, String>,
    ) -> Result<Answer, Failed> {
        let deliveries = deliveries.map_err(|reason| self.refuse(call, source, &reason))?;
        let outcomes = self.take(call, &deliveries.iter().collect::<Vec<_>>()).await;
        whole(outcomes).map(|_| Answer::Failures(BatchItemFailures::default()))
    }

    async fn webhook(&self, mut call: Call<'_>, event: &str) -> Result<Answer, Failed> {
        let request =
            http::Request::read(event).map_err(|reason| self.refuse(&call, "http", &reason))?;
        call.deadline = call.deadline.min(call.started + WEBHOOK_TIME);
        let app_id = self.intake.ingest.decoder.app_id.as_deref();
        let body = match request.admitted(&self.webhook_auth, app_id).await {
            Ok(body) => body,
            Err(refusal) => {
                logs::refused(&call.context.request_id, refusal.status, &refusal.reason);
                self.count_refused(&call, refusal.kind());
                return Ok(Answer::Response(request.refuse(&refusal)));
            }
        };
        let delivery = request.delivery(&body, call.received_at);
        let mut outcomes = self.take(&call, &[&delivery]).await;
        let Outcome { fate, report } = outcomes.remove(0);
        if fate == Fate::Failed && report.is_wrong_rule {
            self.count_refused(&call, "rule");
        }
        Ok(Answer::Response(request.answer(&report, fate)))
    }

    /// Takes records in, and counts; an outcome for each record.
    async fn take(&self, call: &Call<'_>, deliveries: &[&Delivery<'_>]) -> Vec<Outcome> {
        let occasion = Occasion {
            request_id: &call.context.request_id,
            function_version: &call.context.env_config.version,
            deadline: call.deadline,
        };
        let outcomes = self.intake.take(occasion, deliveries).await;
        self.conclude(call, &outcomes);
        outcomes
    }

    /// An event of `source` of which nothing can be used.
    fn refuse(&self, call: &Call<'_>, source: &'static str, reason: &str) -> Failed {
        let request_id = &call.context.request_id;
        let report = Report::unreadable(&reason);
        let outcome = [Outcome { fate: Fate::Failed, report }];
        let delivery = Delivery { source, ..direct::delivery("", request_id, call.received_at) };
        logs::not_stored(request_id, &[&delivery], &outcome);
        self.conclude(call, &outcome);
        let [Outcome { report, .. }] = outcome;
        Failed::new(report)
    }

    /// Counts a webhook that was not taken in, by what the metric's dimension says of it.
    fn count_refused(&self, call: &Call<'_>, reason: &str) {
        self.metrics.refused(&call.context.env_config.function_name, reason, now());
    }

    fn conclude(&self, call: &Call<'_>, outcomes: &[Outcome]) {
        logs::invocation(&call.context.request_id, outcomes, call.started.elapsed());
        self.metrics.emit(&call.context.env_config.function_name, outcomes, now());
    }
}

fn total(outcomes: Vec<Outcome>) -> Report {
    outcomes.into_iter().map(|outcome| outcome.report).fold(Report::default(), Report::plus)
}

/// The report of all records, unless one of them has to be handed back.
fn whole(outcomes: Vec<Outcome>) -> Result<Report, Failed> {
    let has_failed = outcomes.iter().any(|outcome| outcome.fate == Fate::Failed);
    let report = total(outcomes);
    if has_failed { Err(Failed::new(report)) } else { Ok(report) }
}

/// How long the writes of an event of `bytes` bytes may take until `deadline`, in ms since the
/// epoch as `now` is. Emulators of the Runtime API give deadlines of 1970 or none: whoever answers
/// so waits as long as Lambda ever does.
fn time_to_write(deadline: u64, now: i64, bytes: usize) -> Duration {
    let to_answer = TIME_TO_ANSWER + TIME_TO_ANSWER_A_MB.mul_f64(bytes as f64 / 1e6);
    time_left(deadline, now).map_or(LONGEST_INVOCATION, |left| left.saturating_sub(to_answer))
}

/// How long an invocation has until `deadline`; `None` if it is past on arrival.
pub(crate) fn time_left(deadline: u64, now: i64) -> Option<Duration> {
    let left = deadline.checked_sub(u64::try_from(now).unwrap_or(0))?;
    (left > 0).then(|| Duration::from_millis(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_end_before_the_deadline() {
        assert_eq!(time_to_write(10_000, 5_000, 0), Duration::from_millis(4_600));
        assert_eq!(time_to_write(10_000, 5_000, 6_000_000), Duration::from_millis(4_000));
        assert_eq!(time_to_write(5_100, 5_000, 700), Duration::ZERO);
    }

    /// `cargo lambda watch` sends 600000, which is a time-out and not a time.
    #[test]
    fn regression_a_deadline_that_is_past_on_arrival_is_none() {
        assert_eq!(time_to_write(600_000, 1_767_225_600_000, 0), LONGEST_INVOCATION);
        assert_eq!(time_to_write(0, 1_767_225_600_000, 0), LONGEST_INVOCATION);
    }
}
