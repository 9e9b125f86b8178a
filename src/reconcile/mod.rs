//! The reconcile function: a Lambda that walks rooms unattended. A schedule has it put every room of the
//! table's index into a work queue, and look for signs of trouble at Ably; the queue hands it one room at
//! a time; and Ably may tell it of channels that have closed.

mod event;
mod signs;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use lambda_runtime::{Context, LambdaEvent};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::backfill::{
    Backfill, Finding, Repair, Report, Stop, Tally, Walked, Window, stored_rooms,
};
use crate::chat::{RoomName, Serial};
use crate::config::AblyRestConfig;
use crate::ingest::Ingest;
use crate::lambda::{BatchItemFailure, BatchItemFailures, LONGEST_INVOCATION, Metrics, time_left};
use crate::logs::short;
use crate::rest::{AblyRest, ApiKey};
use crate::secret::Secret;
use crate::sqs::SqsQueue;
use crate::time::{MS_PER_DAY, now};
use event::{Event, Task, Work, WorkRecord};

/// What is said in the last minute may not be in Ably's history yet.
const LAST_MINUTE: i64 = 60_000;
/// How far back the first walk of a room looks that has no receipt yet, in ms: a day.
const FIRST_WALK: i64 = MS_PER_DAY;
/// Kept back from the invocation's time: a chunk of a walk, its checkpoint, and sending the rest back to
/// the queue.
const TIME_TO_STOP: Duration = Duration::from_secs(60);
const TIME_TO_ANSWER: Duration = Duration::from_secs(2);
/// Requests to Ably a second, of one instance.
const PACE: f64 = 5.0;
/// Gaps of a walk that are logged by name; all are counted.
const NAMED_GAPS: usize = 20;

/// The function, built once and lent to every invocation.
pub struct Function {
    key: Secret<ApiKey>,
    url: Option<String>,
    pace: f64,
    ingest: Ingest,
    queue: SqsQueue,
    metrics: Metrics,
}

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(String);

impl From<Failed> for lambda_runtime::Diagnostic {
    fn from(Failed(reason): Failed) -> Self {
        Self { error_type: "Retryable".into(), error_message: reason }
    }
}

/// What the function answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To the queue: which records come again.
    Records(BatchItemFailures),
    /// To a schedule, and to Ably.
    Done(Value),
}

impl Function {
    /// The function that the settings describe.
    ///
    /// # Errors
    /// When there is no queue to put rooms into, or no key.
    pub fn new(config: AblyRestConfig, sdk: &SdkConfig) -> Result<Self, String> {
        let source = config.api_key.ok_or("ABLY_API_KEY is not set")?;
        let queue = config.queue_url.ok_or("RECONCILE_QUEUE_URL is not set")?;
        Ok(Self {
            key: Secret::new(source, ApiKey::parse, sdk.clone()),
            url: config.url,
            pace: config.pace.unwrap_or(PACE),
            ingest: Ingest::new(config.config, sdk),
            queue: SqsQueue::new(queue, sdk.clone()),
            metrics: Metrics::default(),
        })
    }

    /// Handles one invocation.
    ///
    /// # Errors
    /// When rooms could not be put into the queue, or the event is none of those it knows.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, Failed> {
        let LambdaEvent { payload, context } = event;
        let left = time_left(context.deadline, now()).unwrap_or(LONGEST_INVOCATION);
        let deadline = Instant::now() + left.saturating_sub(TIME_TO_ANSWER);
        let answer = match Event::read(payload) {
            Event::Work(records) => {
                let mut failures = BatchItemFailures::default();
                for record in records {
                    let item_identifier = record.id.clone();
                    if !self.work(record, deadline, &context).await {
                        failures.batch_item_failures.push(BatchItemFailure { item_identifier });
                    }
                }
                Ok(Answer::Records(failures))
            }
            Event::Task(Task::Rooms { days }) => self.rooms(days, deadline).await,
            Event::Task(Task::Signs) => self.signs(deadline).await,
            Event::Closed(room) => self.closed(room, deadline).await,
            Event::Other => Ok(Answer::Done(json!({"ignored": true}))),
            Event::Unknown(reason) => Err(reason),
        };
        answer.map_err(|reason| {
            tracing::error!(requestId = context.request_id, reason, "invocation failed");
            Failed(reason)
        })
    }

    async fn client(&self) -> Result<AblyRest, String> {
        AblyRest::new(&*self.key.get().await?, self.url.as_deref(), Some(self.pace))
    }

    /// Puts every room that was seen in the last day, or so many days, into the queue.
    async fn rooms(&self, days: Option<u16>, deadline: Instant) -> Result<Answer, String> {
        let until = now() - LAST_MINUTE;
        let back = days.map_or(FIRST_WALK, |days| i64::from(days) * MS_PER_DAY);
        let seen = Window { from: until - back, until };
        let from = days.map(|_| seen.from);
        let rooms = self.send(seen, (from, None), Duration::ZERO, deadline).await?;
        tracing::info!(rooms, days, "rooms queued");
        Ok(Answer::Done(json!({"rooms": rooms})))
    }

    /// A channel has closed: what was said last is in the history a minute later.
    async fn closed(&self, room: RoomName, deadline: Instant) -> Result<Answer, String> {
        if self.ingest.is_filtered_out(Some(&room)) {
            return Ok(Answer::Done(json!({"ignored": true})));
        }
        tracing::info!(ably.room = short(&room.0), "channel closed; room queued");
        let work = Work { room, from: None, until: None };
        let delay = Duration::from_secs(60);
        self.queue.send_all(&[work.json()], delay, deadline).await.map_err(|it| it.to_string())?;
        Ok(Answer::Done(json!({"rooms": 1})))
    }

    /// Queues the rooms seen in a window; how many.
    async fn send(
        &self,
        seen: Window,
        (from, until): (Option<i64>, Option<i64>),
        delay: Duration,
        deadline: Instant,
    ) -> Result<usize, String> {
        let rooms = stored_rooms(&self.ingest.store, seen).await.map_err(|it| it.to_string())?;
        let rooms = rooms.into_iter().filter(|room| !self.ingest.is_filtered_out(Some(room)));
        let works: Vec<String> = rooms.map(|room| Work { room, from, until }.json()).collect();
        self.queue.send_all(&works, delay, deadline).await.map_err(|it| it.to_string())?;
        Ok(works.len())
    }

    /// Walks a room; whether the queue may forget it.
    async fn work(&self, record: WorkRecord, deadline: Instant, context: &Context) -> bool {
        let walked = match record.work {
            Ok(work) => self.walk(work, deadline).await,
            Err(reason) => Err(reason),
        };
        let (tally, failures, reason) = match &walked {
            Ok(walked @ Walked { failures: 0, .. }) => (walked.done(), 0, None),
            Ok(walked @ Walked { failures, .. }) => {
                (walked.done(), *failures, Some(format!("{failures} messages failed")))
            }
            Err(reason) => (Tally::default(), 1, Some(reason.clone())),
        };
        let left = tally.gaps().saturating_sub(tally.repaired) + failures;
        let counts = [
            ("Reconciled", tally.versions),
            ("GapsFound", tally.gaps()),
            ("GapsRepaired", tally.repaired),
            ("GapsNotRepaired", left),
        ];
        self.metrics.counts(&context.env_config.function_name, &counts, now());
        if let Some(reason) = &reason {
            let request_id = &context.request_id;
            tracing::error!(
                requestId = request_id,
                record = record.id,
                reason,
                "room not reconciled"
            );
        }
        reason.is_none()
    }

    async fn walk(&self, work: Work, deadline: Instant) -> Result<Walked, String> {
        let stop = Stop::new(Some(deadline - TIME_TO_STOP.min(deadline - Instant::now())));
        let mut backfill = Backfill::new(self.client().await?, self.ingest.clone(), stop);
        // To overwrite what an archive holds is for people to decide.
        backfill.repair = Repair::Missing;
        backfill.is_executed = true;
        backfill.leaves_empty_receipts = false;
        let latest = now() - LAST_MINUTE;
        let until = work.until.unwrap_or(latest).min(latest);
        let from = match work.from {
            Some(from) => from,
            None => {
                let covered = backfill.covered_until(&work.room, None).await;
                covered.map_err(|it| it.to_string())?.unwrap_or(until - FIRST_WALK)
            }
        };
        let window = Window { from, until };
        if from >= until {
            return Ok(Walked::default());
        }
        let log = Arc::new(Log::default());
        let walked = backfill.walk(&work.room, (window, from), &*log).await;
        let walked = walked.map_err(|failure| failure.reason)?;
        let Walked { tally, is_stopped, .. } = &walked;
        tracing::info!(
            ably.room = short(&work.room.0),
            from,
            until,
            messages = tally.messages,
            versions = tally.versions,
            found = tally.found,
            gaps = tally.gaps(),
            repaired = tally.repaired,
            stopped = is_stopped,
            "room reconciled"
        );
        if *is_stopped && walked.done().messages == 0 {
            return Err("stopped before anything was done".into());
        }
        if *is_stopped {
            let rest = Work { room: work.room, from: Some(from), until: Some(until) }.json();
            let sent = self.queue.send_all(&[rest], Duration::ZERO, deadline).await;
            sent.map_err(|error| error.to_string())?;
        }
        Ok(walked)
    }
}

/// Logs gaps by name, the first of them.
#[derive(Default)]
struct Log {
    named: AtomicUsize,
}

impl Report for Log {
    fn finding(&self, room: &RoomName, finding: &Finding) {
        if self.named.fetch_add(1, Ordering::Relaxed) < NAMED_GAPS {
            let (serial, version) = (&finding.serial, &finding.version);
            tracing::warn!(
                ably.room = short(&room.0),
                message.serial = short(serial.as_str()),
                version = short(version.as_str()),
                gap = ?finding.gap,
                members = ?finding.members,
                "gap found"
            );
        }
    }

    fn failed(&self, room: &RoomName, serial: Option<&Serial>, reason: &str) {
        let serial = serial.map_or("", |serial| short(serial.as_str()));
        tracing::error!(
            ably.room = short(&room.0),
            message.serial = serial,
            reason,
            "message not reconciled"
        );
    }

    fn progress(&self, _room: &RoomName, _done: &Tally) {}
}
