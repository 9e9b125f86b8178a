//! The way in that every entry point shares: records are ingested together, and what is wrong for good
//! is parked with its reason, so that its neighbours can go on.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::ably;
use crate::config::Config;
use crate::delivery::{self, Delivery, Fate, Outcome};
use crate::ingest::{ErrorType, Failure, Ingest, Record, Report, reasons};
use crate::kept::{Circumstances, Parked};
use crate::logs;
use crate::sqs::{SendError, SqsQueue};
use crate::time::now;

/// Records on their way to the failure queue at once, and items of each.
const PARKING: usize = 16;

/// Takes records in.
#[derive(Debug)]
pub struct Intake {
    /// Decodes and stores.
    pub ingest: Ingest,
    /// Keeps what is wrong for good, where handing it back would hold up its neighbours.
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

    /// Ingests records, parks what is wrong for good, and logs; an outcome for each record.
    pub(crate) async fn take(
        &self,
        call: Occasion<'_>,
        deliveries: &[&Delivery<'_>],
    ) -> Vec<Outcome> {
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
        let reports: Vec<_> = reports.collect();
        // What comes again anyway is not parked, or it would be at every attempt.
        let may_pass = |report: &Report| report.error_type() == Some(ErrorType::Retryable);
        let ended = deliveries.iter().zip(&reports);
        let held = delivery::held(ended.map(|(one, report)| (&one.order, may_pass(report))));
        // In their order, so that a stream goes on from the first that time did not suffice for.
        let outcomes: Vec<_> = stream::iter(deliveries.iter().zip(reports).zip(held))
            .map(async |((delivery, report), is_held)| {
                let fate = self.settle(call, delivery, &report, is_held).await;
                Outcome { fate, report }
            })
            .buffered(PARKING)
            .collect()
            .await;
        logs::not_stored(call.request_id, deliveries, &outcomes);
        outcomes
    }

    /// What becomes of a record that has been ingested.
    async fn settle(
        &self,
        call: Occasion<'_>,
        delivery: &Delivery<'_>,
        report: &Report,
        is_held: bool,
    ) -> Fate {
        match (report.error_type(), &self.failure_queue) {
            (None, _) => Fate::Done,
            (Some(ErrorType::NonRetryable), Some(queue))
                if delivery.if_refused.parks(report) && !is_held =>
            {
                match park(queue, call, delivery, report).await {
                    Ok(()) => Fate::Parked,
                    Err(error) => {
                        logs::not_parked(call.request_id, delivery, 1, &error.to_string());
                        Fate::Failed
                    }
                }
            }
            (Some(_), _) => Fate::Failed,
        }
    }
}

/// Sends to the queue what of `delivery` could not be stored: of a batch, the items at fault, each by
/// itself; else the whole payload.
async fn park(
    queue: &SqsQueue,
    call: Occasion<'_>,
    delivery: &Delivery<'_>,
    report: &Report,
) -> Result<(), SendError> {
    let whole = delivery.body.as_deref().unwrap_or(delivery.raw.as_bytes());
    let mut by_item: BTreeMap<Option<usize>, Vec<&Failure>> = BTreeMap::new();
    for failure in &report.failed {
        by_item.entry(failure.item).or_default().push(failure);
    }
    let records = by_item.into_iter().map(|(item, failed)| {
        let batch = item.and_then(|item| ably::batch_of_one(whole, item)).map(String::into_bytes);
        (reasons(&failed), batch.unwrap_or_else(|| whole.to_vec()))
    });
    let records: Vec<_> = records.collect();
    stream::iter(&records)
        .map(async |(reason, body)| {
            let circumstances = Circumstances {
                source: delivery.source.into(),
                source_arn: delivery.source_arn.as_deref().map(Into::into),
                record_id: delivery.id.as_str().into(),
                received_at: delivery.received_at,
                parked_at: now(),
                error_type: ErrorType::NonRetryable.as_str().into(),
                reason: reason.into(),
                function_version: call.function_version.into(),
            };
            let parked = Parked::new(circumstances, body);
            let json = serde_json::to_string(&parked).expect("a parked record has string keys");
            queue.send(&json, call.deadline).await
        })
        .buffer_unordered(PARKING)
        .try_collect()
        .await
}
