//! What is wrong for good, kept with its reason, so that its neighbours can go on.

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::ably;
use crate::failure_queue::{FailureQueue, ParkError};
use crate::ingest::{ErrorType, Report};
use crate::lambda::delivery::Delivery;
use crate::lambda::direct;
use crate::lambda::kept::{Circumstances, Parked};

/// Items of one batch on their way at once.
const SENDS: usize = 16;

/// What a parked record says of the function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parking<'a> {
    pub(super) function_version: &'a str,
    /// In ms since the epoch.
    pub(super) parked_at: i64,
    pub(super) deadline: Instant,
}

impl Parking<'_> {
    /// Sends to the queue what of `delivery` could not be stored: of a batch, the items at fault,
    /// each by itself; else the whole payload.
    pub(super) async fn park(
        self,
        queue: &FailureQueue,
        delivery: &Delivery<'_>,
        report: &Report,
    ) -> Result<(), ParkError> {
        let whole = delivery.body.as_deref().unwrap_or(delivery.raw.as_bytes());
        let mut records: Vec<(String, Vec<u8>)> = Vec::new();
        let mut items: Vec<usize> = report.failed.iter().filter_map(|one| one.item).collect();
        items.dedup();
        if report.failed.iter().all(|failure| failure.item.is_some()) {
            for item in items {
                let Some(batch) = ably::batch_of_one(whole, item) else { continue };
                let failed: Vec<_> =
                    report.failed.iter().filter(|one| one.item == Some(item)).collect();
                records.push((direct::reasons(&failed), batch.into_bytes()));
            }
        }
        if records.is_empty() {
            let failed: Vec<_> = report.failed.iter().collect();
            records.push((direct::reasons(&failed), whole.to_vec()));
        }
        stream::iter(&records)
            .map(async |(reason, body)| {
                let parked = Parked::new(self.circumstances(delivery, reason), body);
                let json = serde_json::to_string(&parked).expect("a parked record has string keys");
                queue.send(&json, self.deadline).await
            })
            .buffer_unordered(SENDS)
            .try_collect()
            .await
    }

    fn circumstances<'b>(
        &'b self,
        delivery: &'b Delivery<'_>,
        reason: &'b str,
    ) -> Circumstances<'b> {
        Circumstances {
            source: delivery.source.into(),
            source_arn: delivery.source_arn.as_deref().map(Into::into),
            record_id: delivery.id.as_str().into(),
            received_at: delivery.received_at,
            parked_at: self.parked_at,
            error_type: ErrorType::NonRetryable.as_str().into(),
            reason: reason.into(),
            function_version: self.function_version.into(),
        }
    }
}
