//! The way in that every entry point shares: records are ingested together, and what is permanently
//! wrong is parked with its reason, so that its neighbours can go on.

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::config::Config;
use crate::delivery::{self, Delivery, Fate, Outcome};
use crate::ingest::{ErrorType, Ingest, Record, Report};
use crate::logs;
use crate::park;
use crate::sqs::SqsQueue;

/// Takes records in.
#[derive(Debug)]
pub struct Intake {
    /// Decodes and stores.
    pub ingest: Ingest,
    /// Keeps what is permanently wrong, where handing it back would hold up its neighbours.
    pub failure_queue: Option<SqsQueue>,
}

/// What is to be known of records that are taken in together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    /// What logs call it.
    pub(crate) request_id: &'a str,
    /// The version of the program, for parked records.
    pub(crate) function_version: &'a str,
    /// What is not stored or parked by then, fails.
    pub(crate) deadline: Instant,
}

impl Intake {
    /// The way into the table, and to the failure queue, that the settings name.
    #[must_use]
    pub fn new(config: Config, sdk: &SdkConfig) -> Self {
        Self {
            failure_queue: config
                .failure_queue_url
                .clone()
                .map(|url| SqsQueue::new(url, sdk.clone())),
            ingest: Ingest::new(config, sdk),
        }
    }

    /// Ingests records, parks what is permanently wrong, and logs; an outcome for each record.
    pub(crate) async fn take(
        &self,
        call: Occasion<'_>,
        deliveries: &[&Delivery<'_>],
    ) -> Vec<Outcome> {
        let reports = self.ingest(call, deliveries).await;
        let fates = self.settle(call, deliveries, &reports).await;
        let ended = fates.into_iter().zip(reports);
        let outcomes: Vec<_> = ended.map(|(fate, report)| Outcome { fate, report }).collect();
        logs::not_stored(call.request_id, deliveries, &outcomes);
        outcomes
    }

    async fn ingest(&self, call: Occasion<'_>, deliveries: &[&Delivery<'_>]) -> Vec<Report> {
        let readable = deliveries.iter().filter_map(|delivery| {
            let body = delivery.body.as_deref().ok()?;
            Some(Record { id: &delivery.id, body, received_at: delivery.received_at })
        });
        let records: Vec<_> = readable.collect();
        let mut ingested = self.ingest.ingest(&records, call.deadline).await.into_iter();
        let reports = deliveries.iter().map(|delivery| match &delivery.body {
            Ok(_) => ingested.next().unwrap_or_default(),
            Err(reason) => Report::unreadable(reason),
        });
        reports.collect()
    }

    /// What becomes of records that have been ingested.
    async fn settle(
        &self,
        call: Occasion<'_>,
        deliveries: &[&Delivery<'_>],
        reports: &[Report],
    ) -> Vec<Fate> {
        let types: Vec<_> = reports.iter().map(Report::error_type).collect();
        let fate = |error_type: &Option<ErrorType>| error_type.map_or(Fate::Done, |_| Fate::Failed);
        let mut fates: Vec<_> = types.iter().map(fate).collect();
        let Some(queue) = &self.failure_queue else { return fates };
        // What comes again anyway is not parked, or it would be at every attempt.
        let ended = deliveries.iter().zip(&types);
        let held = delivery::held(
            ended.map(|(one, found)| (&one.order, *found == Some(ErrorType::Retryable))),
        );
        let is_parked = |&index: &usize| {
            types[index] == Some(ErrorType::NonRetryable)
                && deliveries[index].if_refused.parks(&reports[index])
                && !held[index]
        };
        let indices: Vec<_> = (0..reports.len()).filter(is_parked).collect();
        let refused = indices.iter().map(|&index| (deliveries[index], &reports[index]));
        let parked = park::park(queue, call, &refused.collect::<Vec<_>>()).await;
        let mut failed = Vec::new();
        for (index, parked) in indices.into_iter().zip(parked) {
            match parked {
                Ok(()) => fates[index] = Fate::Parked,
                Err(error) => failed.push((deliveries[index], error)),
            }
        }
        if let Some((first, error)) = failed.first() {
            logs::not_parked(call.request_id, first, failed.len(), &error.to_string());
        }
        fates
    }
}
