//! Stores what comes in, and parks what fails permanently.

#[cfg(feature = "history")]
use tokio::time::Instant;

use crate::aws::sqs::SqsQueue;
use crate::ingest::delivery::{self, Attempt, Delivery};
use crate::ingest::outcome::{Disposition, ErrorType, Outcome, Report};
use crate::ingest::sink::{Record, Sink};
use crate::ingest::{log, park};

/// Takes records in.
#[derive(Debug)]
pub struct Ingest {
    /// Decodes and stores.
    pub sink: Sink,
    /// Keeps permanent failures, where handing them back would hold up their neighbours.
    pub failure_queue: Option<SqsQueue>,
}

impl Ingest {
    /// Stores records, parks permanent failures, and logs; an outcome for each record.
    pub(crate) async fn ingest(
        &self,
        attempt: Attempt<'_>,
        deliveries: &[Delivery<'_>],
    ) -> Vec<Outcome> {
        let reports = self.store(attempt, deliveries).await;
        let dispositions = self.dispose(attempt, deliveries, &reports).await;
        let ended = dispositions.into_iter().zip(reports);
        let outcomes: Vec<_> =
            ended.map(|(disposition, report)| Outcome { disposition, report }).collect();
        log::not_stored(attempt.request_id, deliveries, &outcomes);
        outcomes
    }

    /// Stores a record that nobody sends again: what fails transiently is parked too, and has until
    /// `park_by` for it.
    #[cfg(feature = "history")]
    pub(crate) async fn ingest_only(
        &self,
        attempt: Attempt<'_>,
        park_by: Instant,
        delivery: Delivery<'_>,
    ) -> Outcome {
        let deliveries = [delivery];
        let report = self.store(attempt, &deliveries).await.pop().unwrap_or_default();
        let attempt = Attempt { deadline: park_by, ..attempt };
        let disposition = match (report.error_type(), &self.failure_queue) {
            (None, _) => Disposition::Done,
            (Some(_), None) => Disposition::HandedBack,
            (Some(_), Some(queue)) => {
                let parked = park::park_one(queue, attempt, (&deliveries[0], &report)).await;
                match parked {
                    Ok(()) => Disposition::Parked,
                    Err(error) => {
                        let reason = error.to_string();
                        log::not_parked(attempt.request_id, &deliveries[0], 1, &reason);
                        Disposition::HandedBack
                    }
                }
            }
        };
        let outcomes = [Outcome { disposition, report }];
        log::not_stored(attempt.request_id, &deliveries, &outcomes);
        let [outcome] = outcomes;
        outcome
    }

    async fn store(&self, attempt: Attempt<'_>, deliveries: &[Delivery<'_>]) -> Vec<Report> {
        let readable = deliveries.iter().filter_map(|delivery| {
            let body = delivery.body.as_deref().ok()?;
            let &Delivery { ref id, received_at, is_redelivery, .. } = delivery;
            Some(Record { id, body, received_at, is_redelivery })
        });
        let records: Vec<_> = readable.collect();
        let mut stored = self.sink.store_records(&records, attempt.deadline).await.into_iter();
        let reports = deliveries.iter().map(|delivery| match &delivery.body {
            Ok(_) => stored.next().unwrap_or_default(),
            Err(reason) => Report::unreadable(reason),
        });
        reports.collect()
    }

    /// Where each record goes. Transient failures return to their source. Permanent ones are
    /// parked, but for those that their source keeps, and those that come again anyway: they would
    /// be parked at every attempt.
    async fn dispose(
        &self,
        attempt: Attempt<'_>,
        deliveries: &[Delivery<'_>],
        reports: &[Report],
    ) -> Vec<Disposition> {
        let types: Vec<_> = reports.iter().map(Report::error_type).collect();
        let end = |error_type: &Option<ErrorType>| {
            error_type.map_or(Disposition::Done, |_| Disposition::HandedBack)
        };
        let mut dispositions: Vec<_> = types.iter().map(end).collect();
        let Some(queue) = &self.failure_queue else { return dispositions };
        let ended = deliveries.iter().zip(&types);
        let held = delivery::held(
            ended.map(|(one, found)| (&one.order, *found == Some(ErrorType::Retryable))),
        );
        let is_parked = |&index: &usize| {
            types[index] == Some(ErrorType::NonRetryable)
                && deliveries[index].on_permanent_failure.parks(&reports[index])
                && !held[index]
        };
        let indices: Vec<_> = (0..reports.len()).filter(is_parked).collect();
        let failed: Vec<_> =
            indices.iter().map(|&index| (&deliveries[index], &reports[index])).collect();
        let parked = park::park(queue, attempt, &failed).await;
        let mut unparked = Vec::new();
        for (index, parked) in indices.into_iter().zip(parked) {
            match parked {
                Ok(()) => dispositions[index] = Disposition::Parked,
                Err(error) => unparked.push((&deliveries[index], error)),
            }
        }
        if let Some((first, error)) = unparked.first() {
            log::not_parked(attempt.request_id, first, unparked.len(), &error.to_string());
        }
        dispositions
    }
}
