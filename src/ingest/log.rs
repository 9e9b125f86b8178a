//! The lines of the log about what came in: what failed, where it went, and the sum of an
//! invocation.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::ingest::delivery::Delivery;
use crate::ingest::outcome::{Disposition, ErrorType, Failure, Outcome, Report};
use crate::logs::{KEPT_ASIDE, names, short};

/// Lines about failures for one batch of records: writing them takes some of the time to answer.
const MOST_LINES: usize = 1_000;

/// Logs what could not be stored, and what became of it: each message that failed permanently, up
/// to a number; of transient failures, which come again, one line for each reason.
pub(crate) fn not_stored(request_id: &str, deliveries: &[Delivery<'_>], outcomes: &[Outcome]) {
    let mut lines = MOST_LINES;
    let mut more = 0_u64;
    let mut transient: BTreeMap<(&str, &str), (NotStored<'_>, u64)> = BTreeMap::new();
    for (delivery, Outcome { disposition, report }) in deliveries.iter().zip(outcomes) {
        for failure in &report.failed {
            let line = NotStored { request_id, delivery, failure, disposition: *disposition };
            let is_parked = *disposition == Disposition::Parked;
            if failure.error_type == ErrorType::Retryable && !is_parked {
                let key = (delivery.source, failure.reason.as_str());
                transient.entry(key).or_insert((line, 0)).1 += 1;
            } else if lines > 0 {
                lines -= 1;
                line.log();
            } else {
                more += 1;
            }
        }
    }
    for (line, count) in transient.into_values() {
        if lines > 0 {
            lines -= 1;
            line.log_transient(count);
        } else {
            more += count;
        }
    }
    if more > 0 {
        error!(requestId = request_id, messages = more, "more messages not stored");
    }
    encoding_lost(request_id, deliveries, outcomes);
    kept_aside(request_id, deliveries, outcomes);
}

/// A message that is not stored.
struct NotStored<'a> {
    request_id: &'a str,
    delivery: &'a Delivery<'a>,
    failure: &'a Failure,
    disposition: Disposition,
}

impl NotStored<'_> {
    fn log(&self) {
        let Self { request_id, delivery, failure, disposition } = self;
        let (room, serial) = names(failure.room.as_ref(), failure.serial.as_ref());
        let then = match disposition {
            Disposition::Done => "done",
            Disposition::Parked => "parked",
            Disposition::HandedBack => "handed back",
        };
        error!(
            requestId = request_id,
            source = delivery.source,
            record = short(&delivery.id),
            room,
            serial,
            errorType = failure.error_type.as_str(),
            reason = failure.reason,
            then,
            "message not stored"
        );
    }

    /// Logs it as the first of `count` messages that failed for one reason.
    fn log_transient(&self, count: u64) {
        let Self { request_id, delivery, failure, .. } = self;
        let (room, serial) = names(failure.room.as_ref(), failure.serial.as_ref());
        error!(
            requestId = request_id,
            source = delivery.source,
            record = short(&delivery.id),
            room,
            serial,
            errorType = failure.error_type.as_str(),
            messages = count,
            reason = failure.reason,
            then = "handed back",
            "messages not stored"
        );
    }
}

/// Logs members that were kept aside: of each set of them one line, up to a number, with the number
/// of messages and the first of them.
fn kept_aside(request_id: &str, deliveries: &[Delivery<'_>], outcomes: &[Outcome]) {
    let mut by_members = BTreeMap::new();
    for (delivery, outcome) in deliveries.iter().zip(outcomes) {
        for (room, serial, members) in &outcome.report.odd {
            let first = (room.as_ref(), serial.as_ref());
            by_members.entry((delivery.source, members)).or_insert((first, 0_u64)).1 += 1;
        }
    }
    for ((source, members), ((room, serial), messages)) in by_members.into_iter().take(MOST_LINES) {
        let (room, serial) = names(room, serial);
        warn!(
            requestId = request_id,
            source,
            room,
            serial,
            members = members.join(" "),
            messages,
            "{KEPT_ASIDE}"
        );
    }
}

fn encoding_lost(request_id: &str, deliveries: &[Delivery<'_>], outcomes: &[Outcome]) {
    let lost = deliveries.iter().zip(outcomes).flat_map(|(delivery, outcome)| {
        outcome.report.encoding_lost.iter().map(move |names| (delivery.source, names))
    });
    let mut lost = lost.peekable();
    let Some(&(source, (room, serial))) = lost.peek() else { return };
    let (room, serial) = names(room.as_ref(), serial.as_ref());
    let count = lost.count();
    warn!(
        requestId = request_id,
        source,
        room,
        serial,
        messages = (count > 1).then_some(count),
        "stored with an empty text: `data` is a string without `encoding` that reads like a \
         chat payload; the delivery seems to lose `encoding`"
    );
}

/// Logs records that belong in the failure queue and are not there.
pub(crate) fn not_parked(request_id: &str, first: &Delivery<'_>, records: usize, reason: &str) {
    error!(
        requestId = request_id,
        source = first.source,
        record = short(&first.id),
        records = (records > 1).then_some(records),
        reason,
        "record not parked"
    );
}

/// Logs a request that was not admitted.
pub(crate) fn refused(request_id: &str, source: &str, status: u16, reason: &str) {
    warn!(requestId = request_id, source, status, reason, "request refused");
}

/// Logs what became of an invocation.
pub(crate) fn invocation(request_id: &str, outcomes: &[Outcome], duration: Duration) {
    let sum = |count: fn(&Report) -> u64| -> u64 {
        outcomes.iter().map(|outcome| count(&outcome.report)).sum()
    };
    let ended =
        |disposition| outcomes.iter().filter(|outcome| outcome.disposition == disposition).count();
    info!(
        requestId = request_id,
        records = outcomes.len(),
        parked = ended(Disposition::Parked),
        handedBack = ended(Disposition::HandedBack),
        received = sum(|report| report.received),
        stored = sum(|report| report.stored),
        superseded = sum(|report| report.superseded),
        skipped = sum(|report| report.skipped.values().sum()),
        failed = sum(|report| report.failed.len() as u64),
        odd = sum(|report| report.odd.len() as u64),
        durationMs = duration.as_secs_f64() * 1_000.0,
        "ingested"
    );
}
