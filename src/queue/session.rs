//! What comes in together is stored together, and acknowledged then.

use std::borrow::Cow;
use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ingest::delivery::{self, Delivery, OnPermanentFailure, Order};
use crate::ingest::outcome::{Disposition, ErrorType, Outcome};
use crate::ingest::{Attempt, log};
use crate::queue::address::QueueName;
use crate::queue::broker::{Arrived, Ended, Queues, Settlement};
use crate::queue::consumer::{Consumer, Options};
use crate::queue::hand::Hand;
use crate::queue::pauses::{Pauses, pause, pauses};
use crate::store::Key;
use crate::time::now;

/// How long a shutdown waits for the batch that is being stored.
const TIME_TO_STOP: Duration = Duration::from_secs(20);
/// How long after that the outcomes may take.
const TIME_TO_GIVE_UP: Duration = Duration::from_secs(2);
/// How long one connection attempt may take.
const TIME_TO_CONNECT: Duration = Duration::from_secs(30);
/// How long the broker may take to say good-bye.
const TIME_TO_CLOSE: Duration = Duration::from_secs(5);
/// How often a table that does not take a batch is complained of.
const COMPLAINTS: Duration = Duration::from_secs(15);

/// A consumer's session: one connection.
pub(super) struct Session<'a> {
    consumer: &'a Consumer,
    stop: &'a CancellationToken,
    /// Messages in hand to begin with.
    prefetch: u16,
    batches: u64,
}

impl<'a> Session<'a> {
    pub(super) fn new(consumer: &'a Consumer, stop: &'a CancellationToken, prefetch: u16) -> Self {
        Self { consumer, stop, prefetch, batches: 0 }
    }

    /// Connects to every queue; or why not.
    pub(super) async fn begin(&self) -> Result<Queues, Ended> {
        let Options { address, queues: names, prefetch, .. } = &self.consumer.options;
        let connecting = Queues::connect(address, names, self.prefetch);
        let queues = tokio::select! {
            () = self.stop.cancelled() => return Err(Ended::Shutdown),
            connected = timeout(TIME_TO_CONNECT, connecting) => {
                let late = |_| Ended::Lost(format!("no connection within {TIME_TO_CONNECT:?}"));
                connected.map_err(late)??
            }
        };
        let names: Vec<_> = names.iter().map(QueueName::as_str).collect();
        tracing::info!(broker = %address, queues = names.join(","), prefetch, "consuming");
        Ok(queues)
    }

    /// Consumes until the shutdown or an end of the connection. Where something could not be
    /// stored, the next of `pauses` passes before it goes back.
    pub(super) async fn run(mut self, mut queues: Queues, pauses: &mut Pauses) -> Ended {
        let status = &self.consumer.status;
        status.connected();
        let mut hand = Hand::new(self.consumer.options.queues.len());
        let ended = self.consume(&mut queues, &mut hand, pauses).await;
        if !matches!(ended, Ended::Lost(_) | Ended::Refused(_)) {
            let is_late = timeout(TIME_TO_CLOSE, queues.cancel()).await.is_err();
            if matches!(ended, Ended::NotStored) {
                pause(pauses, self.stop).await;
            }
            if is_late || timeout(TIME_TO_CLOSE, queues.close()).await.is_err() {
                tracing::warn!("the broker did not say good-bye");
            }
        }
        status.disconnected();
        ended
    }

    async fn consume(
        &mut self,
        queues: &mut Queues,
        hand: &mut Hand,
        pauses: &mut Pauses,
    ) -> Ended {
        loop {
            while hand.is_open()
                && let Some(arrived) = queues.next().now_or_never()
            {
                hand.add(arrived);
            }
            if self.stop.is_cancelled() {
                return Ended::Shutdown;
            }
            if let Some(ended) = hand.over() {
                return ended;
            }
            // Half of what the broker hands over, so that the other half is on its way meanwhile.
            let most = usize::from(queues.prefetch()).div_ceil(2);
            let batch = hand.batch(most);
            if batch.is_empty() {
                tokio::select! {
                    arrived = queues.next() => hand.add(arrived),
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            if let Err(ended) = self.store(queues, hand, &batch).await {
                return ended;
            }
            *pauses = Box::new(self::pauses());
            hand.done(&batch);
            let limit = self.consumer.options.prefetch;
            if let Some(better) = hand.better(queues.prefetch(), limit, batch.len() == most) {
                match queues.hand_over(better).await {
                    Ok(arrived) => arrived.into_iter().for_each(|taken| hand.add(Ok(taken))),
                    Err(ended) => return ended,
                }
            }
        }
    }

    /// Stores a batch, and tells the broker of each message what became of it.
    async fn store(
        &mut self,
        queues: &mut Queues,
        hand: &mut Hand,
        batch: &[Arrived],
    ) -> Result<(), Ended> {
        let status = &self.consumer.status;
        self.batches += 1;
        status.taken(batch.len());
        let started = Instant::now();
        let request_id = format!("batch-{}", self.batches);
        let received_at = now();
        let deliveries: Vec<_> =
            batch.iter().map(|taken| self.delivery(taken, received_at)).collect();
        let attempt = Attempt {
            request_id: &request_id,
            function_version: env!("CARGO_PKG_VERSION"),
            deadline: started + self.consumer.options.patience,
        };
        let outcomes = self.outcomes(attempt, &deliveries, queues, hand).await;
        // Nothing is acknowledged, so that all of it comes again, if time is up.
        let outcomes = outcomes.ok_or(Ended::Shutdown)?;
        log::invocation(&request_id, &outcomes, started.elapsed());
        status.ingested(&outcomes);
        let answers = self.answers(&outcomes);
        let rejected = queues.tell(batch, &answers).await?;
        let kept = answers.iter().filter(|answer| **answer == Settlement::Requeue).count();
        let given_back = if kept == 0 { 0 } else { kept + hand.waiting() };
        status.told(rejected, given_back as u64);
        if kept == 0 { Ok(()) } else { Err(Ended::NotStored) }
    }

    /// What became of each message, while more of them come in; `None` if a shutdown has waited for
    /// them long enough.
    async fn outcomes(
        &self,
        attempt: Attempt<'_>,
        deliveries: &[Delivery<'_>],
        queues: &mut Queues,
        hand: &mut Hand,
    ) -> Option<Vec<Outcome>> {
        let mut storing = pin!(self.consumer.ingest.ingest(attempt, deliveries));
        let mut given_up = pin!(async {
            self.stop.cancelled().await;
            self.consumer.store().finish_by(Instant::now() + TIME_TO_STOP);
            sleep(TIME_TO_STOP + TIME_TO_GIVE_UP).await;
        });
        let mut complaints = interval_at(Instant::now() + COMPLAINTS, COMPLAINTS);
        loop {
            tokio::select! {
                biased;
                outcomes = &mut storing => return Some(outcomes),
                () = &mut given_up => return None,
                arrived = queues.next(), if hand.is_open() => hand.add(arrived),
                _ = complaints.tick() => self.complain(attempt, deliveries.len()),
            }
        }
    }

    fn complain(&self, attempt: Attempt<'_>, messages: usize) {
        if let Some((since, reason)) = self.consumer.health().failing() {
            tracing::error!(
                requestId = attempt.request_id,
                messages,
                failingMs = now() - since,
                reason,
                "the table takes no messages; trying again"
            );
        }
    }

    /// Acks what is stored or parked. Requeues transient failures and everything behind them in the
    /// same row of reactions, to keep the order there. Rejects the rest to Ably's dead letters.
    fn answers(&self, outcomes: &[Outcome]) -> Vec<Settlement> {
        let has_failure_queue = self.consumer.ingest.failure_queue.is_some();
        let mut held: HashSet<&Key> = HashSet::new();
        let mut answers = Vec::with_capacity(outcomes.len());
        for Outcome { disposition, report } in outcomes {
            // Where it could not be parked, it may be later; without a queue to park it in, never.
            let is_transient = *disposition == Disposition::HandedBack
                && (has_failure_queue || report.error_type() == Some(ErrorType::Retryable));
            let is_held = report.ordered_rows.iter().any(|row| held.contains(row));
            answers.push(match disposition {
                _ if is_transient || is_held => {
                    held.extend(&report.ordered_rows);
                    Settlement::Requeue
                }
                Disposition::Done | Disposition::Parked => Settlement::Ack,
                Disposition::HandedBack => Settlement::Reject,
            });
        }
        answers
    }

    fn delivery<'b>(
        &self,
        Arrived { queue, message }: &'b Arrived,
        received_at: i64,
    ) -> Delivery<'b> {
        let id = message.properties.message_id().as_ref().map(ToString::to_string);
        Delivery {
            source: "queue",
            source_arn: Some(self.consumer.options.queues[*queue].as_str().into()),
            id: delivery::id_of_arrival(id, &message.data, received_at, message.delivery_tag),
            // The order of the queue, which one consumer keeps.
            received_at,
            is_redelivery: message.redelivered,
            body: Ok(Cow::Borrowed(&message.data)),
            raw: "",
            on_permanent_failure: OnPermanentFailure::Park,
            order: Order::Free,
        }
    }
}
