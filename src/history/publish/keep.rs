//! Stores what Ably has published, as it would be stored if an integration rule delivered it.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::ably;
use crate::chat::RoomName;
use crate::history::publish::published::Archive;
use crate::history::publish::publisher::Publish;
use crate::history::publish::request::Forward;
use crate::ingest::delivery::{Delivery, OnPermanentFailure, Order};
use crate::ingest::outcome::{Disposition, Failure, Outcome, reasons};
use crate::ingest::{Attempt, Report};
use crate::time::now;

/// What storing, parking and queueing a room may take together: the caller waits.
const PATIENCE: Duration = Duration::from_secs(4);
/// Parts of that time that are over when the table, and when the failure queue, have had theirs.
const STORED_BY: f64 = 0.5;
const PARKED_BY: f64 = 0.8;

impl Publish {
    /// Stores the message that Ably answered with; else it is parked; else its room is looked at
    /// later.
    pub(super) async fn keep(&self, forward: &Forward, room: &RoomName, body: &[u8]) -> Archive {
        if !self.ingest.sink.keeps(room) {
            return Archive::Skipped;
        }
        let app = forward.app.as_deref();
        let read = serde_json::from_slice::<&RawValue>(body)
            .map_err(|_| "Ably's answer is not JSON".to_owned())
            .and_then(|raw| ably::envelope_of(raw, room, app).map_err(|error| error.to_string()));
        let published = match read {
            Ok(published) => published,
            Err(reason) => return self.left(forward, "", &reason).await,
        };
        let start = Instant::now();
        let left = forward.call.deadline.saturating_duration_since(start).min(PATIENCE);
        let attempt = Attempt {
            request_id: &forward.call.request_id,
            function_version: &forward.call.function_version,
            deadline: start + left.mul_f64(STORED_BY),
        };
        let delivery = Delivery {
            source: "publish",
            source_arn: None,
            id: published.version.0,
            received_at: now(),
            body: Ok(Cow::Owned(published.envelope.into_bytes())),
            raw: "",
            is_redelivery: false,
            on_permanent_failure: OnPermanentFailure::Park,
            order: Order::Free,
        };
        let park_by = start + left.mul_f64(PARKED_BY);
        let Outcome { disposition, report } =
            self.ingest.ingest_only(attempt, park_by, delivery).await;
        match disposition {
            Disposition::Parked => Archive::Parked,
            Disposition::Done if report.skipped.is_empty() => Archive::Stored,
            Disposition::Done => Archive::Skipped,
            Disposition::HandedBack => {
                self.left(forward, published.serial.as_str(), &why(&report)).await
            }
        }
    }
}

fn why(report: &Report) -> String {
    reasons(&report.failed.iter().collect::<Vec<&Failure>>())
}
