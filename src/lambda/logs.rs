//! Logs: JSON, one line for each invocation and one for each failed message. They name room,
//! serial and reason, never text, metadata, headers, client ids or secrets.

use std::time::Duration;

use tracing::{Level, error, info, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::chat::{RoomName, Serial};
use crate::ingest::Report;
use crate::lambda::short;

/// Sends logs to standard output. `level` is for this program; libraries never log below `WARN`,
/// for at lower levels they log whole requests, and with them people's messages. The runtime would
/// log each failed invocation once more, as a Rust value.
pub fn init_logs(level: Level) {
    let targets = Targets::new()
        .with_default(level.min(Level::WARN))
        .with_target("lambda_runtime::layers", LevelFilter::OFF)
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false);
    tracing_subscriber::registry().with(targets).with(json).init();
}

/// Logs what became of an invocation.
pub(super) fn log(request_id: &str, report: &Report, duration: Duration) {
    for failure in &report.failed {
        let (room, serial) = names(failure.room.as_ref(), failure.serial.as_ref());
        error!(
            requestId = request_id,
            ably.room = room,
            message.serial = serial,
            errorType = failure.error_type.as_str(),
            reason = failure.reason,
            "message not stored"
        );
    }
    for (room, serial) in &report.encoding_lost {
        let (room, serial) = names(room.as_ref(), serial.as_ref());
        warn!(
            requestId = request_id,
            ably.room = room,
            message.serial = serial,
            "stored with an empty text: `data` is a string without `encoding` that reads like a \
             chat payload; the delivery seems to lose `encoding`"
        );
    }
    info!(
        requestId = request_id,
        received = report.received,
        stored = report.stored,
        superseded = report.superseded,
        skipped = report.skipped.values().sum::<u64>(),
        failed = report.failed.len(),
        duration_ms = duration.as_secs_f64() * 1_000.0,
        "ingested"
    );
}

fn names<'a>(room: Option<&'a RoomName>, serial: Option<&'a Serial>) -> (&'a str, &'a str) {
    (room.map_or("", |room| short(&room.0)), serial.map_or("", |serial| short(serial.as_str())))
}
