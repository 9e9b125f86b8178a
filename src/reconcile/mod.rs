//! The reconcile function: a Lambda that walks rooms unattended. A schedule has it put the rooms of
//! the table's index, and those active at Ably, into a work queue, and look for signs of trouble at
//! Ably; the queue hands it one room at a time; and Ably may tell it of channels that have closed.

mod event;
mod signs;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lambda_runtime::{Context, LambdaEvent};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::aws::secret::Secret;
use crate::aws::sqs::SqsQueue;
use crate::backfill::{
    Backfill, Finding, Observer, Repair, Stop, Tally, Walked, Window, Work, active_rooms,
    stored_rooms,
};
use crate::chat::{RoomName, Serial};
use crate::ingest::Sink;
use crate::lambda::deadline::{LONGEST_INVOCATION, time_left};
use crate::lambda::{BatchItemFailure, BatchItemFailures, Metrics};
use crate::logs::short;
use crate::rest::{AblyRest, ApiKey};
use crate::time::{MS_PER_DAY, now};
use event::{Event, Task, WorkRecord};

/// What is said in the last minute may not be in Ably's history yet.
const LAST_MINUTE: i64 = 60_000;
/// The frequent look takes rooms that were noted in the last days: an outage of a day hides none.
/// All that Ably may have something of would be too dear four times an hour; they have their turn
/// each day.
const RECENT_DAYS: u16 = 2;
/// What Ably may take to list its active rooms. It lets one at a time do so.
const TIME_TO_LIST: Duration = Duration::from_secs(30);
/// Kept back from the invocation's time: a chunk of a walk, its checkpoint, and sending the rest
/// back to the queue.
const TIME_TO_STOP: Duration = Duration::from_secs(60);
const TIME_TO_ANSWER: Duration = Duration::from_secs(2);
/// Requests to Ably a second, of one instance.
const PACE: f64 = 5.0;
/// Gaps of a walk that are logged by name; all are counted.
const NAMED_GAPS: usize = 20;

/// The function, built once and lent to every invocation.
pub struct Function {
    access: AblyAccess,
    history_days: u16,
    /// Rooms that Ably cannot be asked for.
    refused_names: Mutex<BTreeSet<RoomName>>,
    sink: Sink,
    queue: SqsQueue,
    metrics: Metrics,
    /// Whether the log says already that the key may not list active rooms.
    is_unlisted_logged: AtomicBool,
}

/// One invocation.
struct Call<'a> {
    context: &'a Context,
    deadline: Instant,
}

/// How Ably's REST API is reached.
pub struct AblyAccess {
    /// `ABLY_API_KEY`.
    pub key: Secret<ApiKey>,
    /// The app that the key must be of.
    pub app_id: Option<String>,
    /// `ABLY_REST_URL`.
    pub url: Option<String>,
    /// `RECONCILE_PACE`.
    pub pace: Option<f64>,
}

/// Why an invocation failed: logged, and answered, so that it is tried again. Whatever the cause,
/// nobody decides by it.
#[derive(Debug)]
pub struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Failed {
    fn of(reason: &str) -> Self {
        Self(reason.into())
    }
}

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
    /// The function over this table and work queue. Ably keeps messages for `history_days`.
    #[must_use]
    pub fn new(access: AblyAccess, sink: Sink, queue: SqsQueue, history_days: u16) -> Self {
        Self {
            access,
            history_days,
            refused_names: Mutex::default(),
            sink,
            queue,
            metrics: Metrics::default(),
            is_unlisted_logged: AtomicBool::new(false),
        }
    }

    /// Handles one invocation.
    ///
    /// # Errors
    /// When rooms could not be put into the queue, or the event is none of those it knows.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, Failed> {
        let LambdaEvent { payload, context } = event;
        let left = time_left(context.deadline, now()).unwrap_or(LONGEST_INVOCATION);
        let deadline = Instant::now() + left.saturating_sub(TIME_TO_ANSWER);
        let call = Call { context: &context, deadline };
        let answer = match Event::read(payload) {
            Event::Work(records) => {
                let mut failures = BatchItemFailures::default();
                for record in records {
                    let item_identifier = record.id.clone();
                    if !self.work(record, &call).await {
                        failures.batch_item_failures.push(BatchItemFailure { item_identifier });
                    }
                }
                Ok(Answer::Records(failures))
            }
            Event::Task(task) => {
                let done = timeout_at(deadline, self.task(task, &call)).await;
                done.unwrap_or_else(|_| Err(Failed::of("no time was left before the deadline")))
            }
            Event::Closed(room) => self.closed(room, deadline).await,
            Event::Other => Ok(Answer::Done(json!({"ignored": true}))),
            Event::Unknown(reason) => Err(Failed(reason)),
        };
        answer.inspect_err(|Failed(reason)| {
            tracing::error!(requestId = context.request_id, reason, "invocation failed");
        })
    }

    async fn task(&self, task: Task, call: &Call<'_>) -> Result<Answer, Failed> {
        match task {
            Task::Rooms { days } => self.rooms(days, call).await,
            Task::Signs => self.signs(call).await,
        }
    }

    async fn client(&self) -> Result<AblyRest, Failed> {
        let AblyAccess { key, app_id, url, pace } = &self.access;
        let key = key.get().await?;
        let is_ours = key.check_app(app_id.as_deref());
        is_ours.map_err(|mistake| Failed(format!("ABLY_API_KEY: {mistake}")))?;
        Ok(AblyRest::new(&key, url.as_deref(), Some(pace.unwrap_or(PACE)))?)
    }

    /// Puts rooms into the queue: those of the last days, or for a look back over days, all of
    /// them.
    async fn rooms(&self, days: Option<u16>, call: &Call<'_>) -> Result<Answer, Failed> {
        let rest = self.client().await?;
        let noted = days.map_or(RECENT_DAYS, |days| self.history_days.max(days));
        let rooms = self.known_rooms(&rest, noted, call.deadline).await?;
        let works = rooms.into_iter().map(|room| Work { days, ..Work::of(room) });
        let rooms = self.send(works, Duration::ZERO, call).await?;
        if rooms == 0 {
            tracing::warn!(days = noted, "no room is known that could be reconciled");
        }
        tracing::info!(rooms, days, "rooms queued");
        Ok(Answer::Done(json!({"rooms": rooms})))
    }

    /// The rooms that were noted in the last `days`, and those active at Ably now.
    async fn known_rooms(
        &self,
        rest: &AblyRest,
        days: u16,
        deadline: Instant,
    ) -> Result<BTreeSet<RoomName>, Failed> {
        let until = now();
        let seen = Window { from: until - i64::from(days) * MS_PER_DAY, until };
        let mut rooms = stored_rooms(&self.sink.store, seen).await?;
        rooms.extend(self.active_rooms(rest, deadline).await?);
        rooms.retain(|room| self.sink.keeps(room));
        Ok(rooms)
    }

    /// The rooms active at Ably now, as far as the key may know.
    async fn active_rooms(
        &self,
        rest: &AblyRest,
        deadline: Instant,
    ) -> Result<BTreeSet<RoomName>, Failed> {
        let until = deadline.min(Instant::now() + TIME_TO_LIST);
        let reason = match timeout_at(until, active_rooms(rest)).await {
            Ok(Ok(rooms)) => return Ok(rooms),
            Ok(Err(error)) if error.is_of_key() => return Err(error.into()),
            Ok(Err(error)) => {
                let is_known = error.lacks_capability()
                    && self.is_unlisted_logged.swap(true, Ordering::Relaxed);
                (!is_known).then(|| error.to_string())
            }
            Err(_) => Some("no answer in time".into()),
        };
        if let Some(reason) = reason {
            tracing::warn!(reason, "active rooms not listed; rooms of the table's index are taken");
        }
        Ok(BTreeSet::new())
    }

    /// A channel has closed: what was said last is in the history a minute later.
    async fn closed(&self, room: RoomName, deadline: Instant) -> Result<Answer, Failed> {
        if !self.sink.keeps(&room) {
            return Ok(Answer::Done(json!({"ignored": true})));
        }
        tracing::info!(room = short(&room.0), "channel closed; room queued");
        let work = Work::of(room).json();
        let delay = Duration::from_secs(60);
        self.queue.send_all(&[work], delay, deadline).await?;
        Ok(Answer::Done(json!({"rooms": 1})))
    }

    /// Queues work; how much.
    async fn send(
        &self,
        works: impl Iterator<Item = Work>,
        delay: Duration,
        call: &Call<'_>,
    ) -> Result<usize, Failed> {
        let works: Vec<String> = works.map(|work| work.json()).collect();
        self.queue.send_all(&works, delay, call.deadline).await?;
        self.count(call, "RoomsQueued", works.len() as u64);
        Ok(works.len())
    }

    fn count(&self, call: &Call<'_>, name: &'static str, count: u64) {
        self.metrics.counts(&call.context.env_config.function_name, &[(name, count)], now());
    }

    /// Walks a room; whether the queue may forget it.
    async fn work(&self, record: WorkRecord, call: &Call<'_>) -> bool {
        let walked = match record.work {
            Ok(work) => self.walk(work, call.deadline).await,
            Err(reason) => Err(Failed(reason)),
        };
        let (tally, failures, reason) = match &walked {
            Ok(walked @ Walked { failures: 0, .. }) => (walked.done(), 0, None),
            // Its rest is queued, with its failures: at the end they count.
            Ok(walked @ Walked { is_stopped: true, .. }) => (walked.done(), 0, None),
            Ok(walked @ Walked { failures, .. }) => {
                (walked.done(), *failures, Some(format!("{failures} messages failed")))
            }
            Err(Failed(reason)) => (Tally::default(), 1, Some(reason.clone())),
        };
        let left = tally.gaps().saturating_sub(tally.repaired) + failures;
        let counts = [
            ("Reconciled", tally.versions),
            ("GapsFound", tally.gaps()),
            ("GapsRepaired", tally.repaired),
            ("GapsNotRepaired", left),
        ];
        self.metrics.counts(&call.context.env_config.function_name, &counts, now());
        if let Some(reason) = &reason {
            let request_id = &call.context.request_id;
            tracing::error!(
                requestId = request_id,
                record = record.id,
                reason,
                "room not reconciled"
            );
        }
        reason.is_none()
    }

    async fn walk(&self, work: Work, deadline: Instant) -> Result<Walked, Failed> {
        let latest = now() - LAST_MINUTE;
        let until = work.until.unwrap_or(latest);
        if until > latest {
            self.postpone(&work, until - latest, deadline).await?;
            return Ok(Walked::default());
        }
        let stop = Stop::new(Some(deadline - TIME_TO_STOP.min(deadline - Instant::now())));
        let mut backfill = Backfill::new(self.client().await?, self.sink.store.clone(), stop);
        backfill.cipher_key = self.sink.decoder.cipher_key.clone();
        backfill.room_index = self.sink.room_index.clone();
        // To overwrite what an archive holds is for people to decide.
        backfill.repair = Repair::Missing;
        backfill.is_executed = true;
        backfill.leaves_empty_receipts = false;
        // From where receipts end that begin where Ably's history does.
        let days_back = |days: u16| until - i64::from(days) * MS_PER_DAY;
        let from = match work.from {
            Some(from) => from,
            None => {
                let oldest = days_back(self.history_days);
                let covered = backfill.covered_until(&work.room, Some(oldest)).await?;
                let covered = covered.unwrap_or(oldest);
                work.days.map_or(covered, |days| covered.min(days_back(days)))
            }
        };
        let window = Window { from, until };
        if from >= until {
            return Ok(Walked::default());
        }
        let log = Arc::new(Log::default());
        let walked = backfill.walk(&work.room, (window, from), &*log).await;
        let walked = match walked {
            // It stays so, whatever is tried: no reason for an alarm at each look.
            Err(failure) if failure.is_of_name => {
                self.name_refused(&work.room, &failure.reason);
                return Ok(Walked::default());
            }
            walked => walked?,
        };
        let Walked { tally, is_stopped, .. } = &walked;
        tracing::info!(
            room = short(&work.room.0),
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
            return Err(Failed::of("stopped before anything was done"));
        }
        if *is_stopped {
            let rest = Work { from: Some(from), until: Some(until), ..Work::of(work.room) }.json();
            self.queue.send_all(&[rest], Duration::ZERO, deadline).await?;
        }
        Ok(walked)
    }

    /// Says once of each room that Ably cannot be asked for it.
    fn name_refused(&self, room: &RoomName, reason: &str) {
        let mut refused = self.refused_names.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.insert(room.clone()) {
            tracing::warn!(room = short(&room.0), reason, "no room of Ably's has this name");
        }
    }

    /// Puts work back whose end, in `ms`, is not in Ably's history yet: SQS holds a message
    /// back for a quarter of an hour at most.
    async fn postpone(&self, work: &Work, ms: i64, deadline: Instant) -> Result<(), Failed> {
        let wait = Duration::from_millis(u64::try_from(ms).unwrap_or(0)) + Duration::from_secs(1);
        Ok(self.queue.send_all(&[work.json()], wait, deadline).await?)
    }
}

/// Logs gaps by name, the first of them.
#[derive(Default)]
struct Log {
    named: AtomicUsize,
}

impl Observer for Log {
    fn finding(&self, room: &RoomName, finding: &Finding) {
        if self.named.fetch_add(1, Ordering::Relaxed) < NAMED_GAPS {
            let (serial, version) = (&finding.serial, &finding.version);
            tracing::warn!(
                room = short(&room.0),
                serial = short(serial.as_str()),
                version = short(version.as_str()),
                gap = finding.gap.word(),
                members = finding.members.join(" "),
                "gap found"
            );
        }
    }

    fn failed(&self, room: &RoomName, serial: Option<&Serial>, reason: &str) {
        let serial = serial.map_or("", |serial| short(serial.as_str()));
        tracing::error!(room = short(&room.0), serial, reason, "message not reconciled");
    }

    fn progress(&self, _room: &RoomName, _done: &Tally) {}
}
