//! Logs: JSON, one line for each invocation and for what failed in it. They name room, serial and
//! reason, never text, metadata, headers, client ids or secrets.

use std::io::{self, Write};

use serde::Serialize;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::chat::{RoomName, Serial};

/// The line about members of a wrong type, wherever they came from.
pub(crate) const KEPT_ASIDE: &str = "members are not of the type that Ably documents: they are \
    stored with defaults, and what they held is kept aside";

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

/// Room and serial as logs have them.
pub(crate) fn names<'a>(
    room: Option<&'a RoomName>,
    serial: Option<&'a Serial>,
) -> (&'a str, &'a str) {
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
