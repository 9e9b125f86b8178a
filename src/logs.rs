//! Logs: JSON, one line for each invocation and one for each failed message. They name room,
//! serial and reason, never text, metadata, headers, client ids or secrets.

use std::time::Duration;

use tracing::{Level, error, info, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::chat::{RoomName, Serial};
use crate::delivery::{Delivery, Fate, Outcome};
use crate::ingest::Report;
use crate::sqs::SendError;
use crate::store::StoreError;

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

/// Logs what of a record could not be stored, and what became of it.
pub(crate) fn record(request_id: &str, delivery: &Delivery<'_>, report: &Report, fate: Fate) {
    let then = match fate {
        Fate::Done => "done",
        Fate::Parked => "parked",
        Fate::Failed => "handed back",
    };
    for failure in &report.failed {
        let (room, serial) = names(failure.room.as_ref(), failure.serial.as_ref());
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
    for (room, serial) in &report.encoding_lost {
        let (room, serial) = names(room.as_ref(), serial.as_ref());
        warn!(
            requestId = request_id,
            source = delivery.source,
            ably.room = room,
            message.serial = serial,
            "stored with an empty text: `data` is a string without `encoding` that reads like a \
             chat payload; the delivery seems to lose `encoding`"
        );
    }
    for (room, serial, members) in &report.odd {
        let (room, serial) = names(room.as_ref(), serial.as_ref());
        warn!(
            requestId = request_id,
            source = delivery.source,
            ably.room = room,
            message.serial = serial,
            members = members.join(" "),
            "stored with defaults: members are not of the type that Ably documents; what they \
             held is kept aside"
        );
    }
}

/// Logs a record that belongs in the failure queue and is not there.
pub(crate) fn not_parked(request_id: &str, delivery: &Delivery<'_>, error: &SendError) {
    error!(
        requestId = request_id,
        source = delivery.source,
        record = short(&delivery.id),
        reason = %error,
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
