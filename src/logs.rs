//! Logs: JSON, one line for each invocation and for what failed in it. They name room, serial and
//! reason, never text, metadata, headers, client ids or secrets.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tracing::{Level, error, info, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::chat::{RoomName, Serial};
use crate::delivery::{Delivery, Fate, Outcome};
use crate::ingest::{ErrorType, Failure, Report};

const KEPT_ASIDE: &str = "members are not of the type that Ably documents: they are stored with \
    defaults, and what they held is kept aside";
/// Lines about failures for one batch of records: writing them takes some of the time to answer.
const MOST_LINES: usize = 1_000;

/// Sends logs to standard output. `level` is for this program; libraries never log below `WARN`,
/// for at lower levels they log whole requests, and with them people's messages. The runtime would
/// log each failed invocation once more, as a Rust value, and so would lapin what a broker refuses.
pub fn init_logs(level: Level) {
    let targets = Targets::new()
        .with_default(level.min(Level::WARN))
        .with_target("lambda_runtime::layers", LevelFilter::OFF)
        .with_target("lapin", LevelFilter::OFF)
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_target("ably_chat_queue", level);
    let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false);
    tracing_subscriber::registry().with(targets).with(json).init();
}

/// Sends this program's warnings, and nothing else, to standard error: as text, or as JSON.
pub fn init_warnings(is_text: bool) {
    let targets = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::WARN);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(targets);
    match is_text {
        true => registry.with(layer.without_time()).init(),
        false => registry.with(layer.json().flatten_event(true)).init(),
    }
}

/// Says on standard output, as one line of the log, why the program does not start.
pub fn wrong_settings(mistakes: &[String]) {
    #[derive(Serialize)]
    struct Line<'a> {
        timestamp: String,
        level: &'static str,
        message: &'static str,
        mistakes: &'a [String],
    }
    let mut timestamp = String::new();
    // A clock that cannot be told is no reason to say nothing.
    SystemTime.format_time(&mut Writer::new(&mut timestamp)).ok();
    let message = "not started: wrong settings";
    let line = Line { timestamp, level: Level::ERROR.as_str(), message, mistakes };
    let line = serde_json::to_string(&line).expect("texts are JSON");
    // The program ends with an error either way.
    writeln!(io::stdout(), "{line}").ok();
}

/// Logs what could not be stored, and what became of it: each message that failed permanently, up
/// to a number; of transient failures, which come again, one line for each reason.
pub(crate) fn not_stored(request_id: &str, deliveries: &[&Delivery<'_>], outcomes: &[Outcome]) {
    let mut lines = MOST_LINES;
    let mut more = 0_u64;
    let mut transient: BTreeMap<(&str, &str), (NotStored<'_>, u64)> = BTreeMap::new();
    for (delivery, Outcome { fate, report }) in deliveries.iter().zip(outcomes) {
        for failure in &report.failed {
            let line = NotStored { request_id, delivery, failure, fate: *fate };
            if failure.error_type == ErrorType::Retryable {
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
    fate: Fate,
}

impl NotStored<'_> {
    fn log(&self) {
        let Self { request_id, delivery, failure, fate } = self;
        let (room, serial) = names(failure.room.as_ref(), failure.serial.as_ref());
        let then = match fate {
            Fate::Done => "done",
            Fate::Parked => "parked",
            Fate::Failed => "handed back",
        };
        error!(
            requestId = request_id,
            source = delivery.source,
            record = short(&delivery.id),
            ably.room = room,
            message.serial = serial,
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
            ably.room = room,
            message.serial = serial,
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
fn kept_aside(request_id: &str, deliveries: &[&Delivery<'_>], outcomes: &[Outcome]) {
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
            ably.room = room,
            message.serial = serial,
            members = members.join(" "),
            messages,
            "{KEPT_ASIDE}"
        );
    }
}

/// Logs members that are kept aside on a page of history: a set of them, with the number of
/// messages and the first of them.
#[cfg(feature = "reconcile")]
pub(crate) fn kept_aside_of_history(
    room: &RoomName,
    serial: &Serial,
    members: &[&str],
    messages: u64,
) {
    let (room, serial) = names(Some(room), Some(serial));
    warn!(
        ably.room = room,
        message.serial = serial,
        members = members.join(" "),
        messages,
        "{KEPT_ASIDE}"
    );
}

fn encoding_lost(request_id: &str, deliveries: &[&Delivery<'_>], outcomes: &[Outcome]) {
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
        ably.room = room,
        message.serial = serial,
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

/// Logs rooms that could not be noted in the index of rooms.
pub(crate) fn rooms_not_noted(rooms: usize, first: &RoomName, reason: &str) {
    warn!(
        ably.room = short(&first.0),
        rooms = (rooms > 1).then_some(rooms),
        reason,
        "room not noted in the index of rooms"
    );
}

/// Logs a request that was not taken in.
pub(crate) fn refused(request_id: &str, status: u16, reason: &str) {
    warn!(requestId = request_id, source = "http", status, reason, "request refused");
}

/// Logs what became of an invocation.
pub(crate) fn invocation(request_id: &str, outcomes: &[Outcome], duration: Duration) {
    let sum = |count: fn(&Report) -> u64| -> u64 {
        outcomes.iter().map(|outcome| count(&outcome.report)).sum()
    };
    let ended = |fate| outcomes.iter().filter(|outcome| outcome.fate == fate).count();
    info!(
        requestId = request_id,
        records = outcomes.len(),
        parked = ended(Fate::Parked),
        handedBack = ended(Fate::Failed),
        received = sum(|report| report.received),
        stored = sum(|report| report.stored),
        superseded = sum(|report| report.superseded),
        skipped = sum(|report| report.skipped.values().sum()),
        failed = sum(|report| report.failed.len() as u64),
        odd = sum(|report| report.odd.len() as u64),
        duration_ms = duration.as_secs_f64() * 1_000.0,
        "ingested"
    );
}

fn names<'a>(room: Option<&'a RoomName>, serial: Option<&'a Serial>) -> (&'a str, &'a str) {
    (room.map_or("", |room| short(&room.0)), serial.map_or("", |serial| short(serial.as_str())))
}

/// The beginning of a name, enough to find it by: a hostile one may have megabytes.
pub(crate) fn short(name: &str) -> &str {
    const MOST_BYTES: usize = 256;
    name.get(..name.floor_char_boundary(MOST_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(short("room"), "room");
        assert_eq!(short(&"é".repeat(200)), "é".repeat(128));
        assert_eq!(short(&format!("x{}", "é".repeat(200))), format!("x{}", "é".repeat(127)));
    }
}
