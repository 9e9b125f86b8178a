//! Parking: permanent failures go to the failure queue with their reason; of a batch, the items at
//! fault only.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::ably;
use crate::aws::sqs::{self, SendError, SqsQueue};
use crate::ingest::delivery::{Attempt, Delivery, Order};
use crate::ingest::outcome::{ErrorType, Failure, Report, reasons};
use crate::ingest::parked::{Parked, Provenance};
use crate::time::now;

/// Bytes of a reason that are kept. Five failures have a few hundred, unless a value is quoted.
const MOST_REASON: usize = 8_192;

/// A delivery, and what of it could not be stored.
pub(crate) type Unstored<'a> = (&'a Delivery<'a>, &'a Report);

/// Sends to the queue what of each delivery could not be stored, in their order; of each, whether
/// all of it is there.
pub(crate) async fn park(
    queue: &SqsQueue,
    attempt: Attempt<'_>,
    refused: &[Unstored<'_>],
) -> Vec<Result<(), SendError>> {
    let has_failed = AtomicBool::new(false);
    let texts = refused.iter().enumerate().flat_map(|(index, refused)| {
        // What there is no time to send is not made ready either.
        let texts = match Instant::now() < attempt.deadline {
            true => messages(attempt, *refused),
            false => vec![String::new()],
        };
        texts.into_iter().map(move |text| (index, text))
    });
    let packs = stream::iter(sqs::packs(texts)).map(async |pack| {
        // What comes again with a record that could not be sent would be there twice.
        let is_left = |(index, _): &(usize, String)| {
            has_failed.load(Ordering::Relaxed) && refused[*index].0.order != Order::Free
        };
        let (left, sent): (Vec<_>, Vec<_>) = pack.into_iter().partition(is_left);
        let (numbers, texts): (Vec<_>, Vec<_>) = sent.into_iter().unzip();
        let answers = queue.send_pack(texts, Duration::ZERO, attempt.deadline).await;
        if answers.iter().any(Result::is_err) {
            has_failed.store(true, Ordering::Relaxed);
        }
        let left = left.into_iter().map(|(index, _)| (index, Err(SendError::ComesAgain)));
        numbers.into_iter().zip(answers).chain(left).collect::<Vec<_>>()
    });
    let mut parked = vec![Ok(()); refused.len()];
    let mut packs = pin!(packs.buffered(sqs::CONCURRENCY));
    while let Some(answers) = packs.next().await {
        for (index, answer) in answers {
            // Of several reasons, the first.
            if parked[index].is_ok() {
                parked[index] = answer;
            }
        }
    }
    parked
}

/// Sends to the queue what of one delivery could not be stored.
#[cfg(feature = "history")]
pub(crate) async fn park_one(
    queue: &SqsQueue,
    attempt: Attempt<'_>,
    refused: Unstored<'_>,
) -> Result<(), SendError> {
    let texts = messages(attempt, refused).into_iter().map(|text| ((), text));
    let packs: Vec<_> = sqs::packs(texts).collect();
    for pack in packs {
        let texts = pack.into_iter().map(|((), text)| text).collect();
        let answers = queue.send_pack(texts, Duration::ZERO, attempt.deadline).await;
        answers.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

/// What is sent of one delivery.
fn messages(attempt: Attempt<'_>, (delivery, report): Unstored<'_>) -> Vec<String> {
    let whole = delivery.body.as_deref().unwrap_or(delivery.raw.as_bytes());
    let mut by_item: BTreeMap<Option<usize>, Vec<&Failure>> = BTreeMap::new();
    for failure in &report.failed {
        by_item.entry(failure.item).or_default().push(failure);
    }
    let items: Vec<usize> = by_item.keys().filter_map(|item| *item).collect();
    let cut = if items.is_empty() { None } else { ably::batches_of_one(whole, &items) };
    let cut: BTreeMap<usize, String> = cut.unwrap_or_default().into_iter().collect();
    let messages = by_item.into_iter().flat_map(|(item, failed)| {
        let mut reason = reasons(&failed);
        reason.truncate(reason.floor_char_boundary(MOST_REASON));
        let body = item.and_then(|item| cut.get(&item)).map_or(whole, String::as_bytes);
        let provenance = Provenance {
            source: delivery.source.into(),
            source_arn: delivery.source_arn.as_deref().map(Into::into),
            record_id: delivery.id.as_str().into(),
            received_at: delivery.received_at,
            parked_at: now(),
            error_type: report.error_type().unwrap_or(ErrorType::NonRetryable).as_str().into(),
            reason: reason.into(),
            function_version: attempt.function_version.into(),
        };
        Parked::messages(&provenance, body, sqs::MAX_BYTES, sqs::allowed)
    });
    messages.collect()
}
