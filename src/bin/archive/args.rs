//! Flags that several commands take.

use std::path::PathBuf;

use ably_chat_exporter::config::pace;
use aws_smithy_types::date_time::{DateTime, Format};
use clap::Args;

#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Rooms {
    /// A room; may be given several times
    #[arg(long = "room", value_name = "NAME")]
    pub(crate) rooms: Vec<String>,
    /// A file with a room's name on each line
    #[arg(long, value_name = "FILE")]
    pub(crate) rooms_file: Option<PathBuf>,
    /// Rooms that somebody is in now, as Ably lists them. The key needs `channel-metadata` too
    #[arg(long)]
    pub(crate) active: bool,
    /// Rooms that the exporter noted in the table from --since to --until
    #[arg(long)]
    pub(crate) stored: bool,
}

#[derive(Args)]
pub(crate) struct WalkFlags {
    #[command(flatten)]
    pub(crate) rooms: Rooms,
    /// Only messages created since then: a day (2026-11-22), a time (2026-11-22T08:00:00Z) or ms
    /// since 1970. Default: as far back as Ably keeps them
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0")]
    #[arg(hide_default_value = true)]
    pub(crate) since: i64,
    /// Only messages created before then, which is at least a minute ago. Default: a minute ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<i64>,
    /// Requests to Ably per second
    #[arg(long, value_name = "N", value_parser = pace, default_value = "10")]
    pub(crate) pace: f64,
    /// Leave each receipt as a file in this directory too
    #[arg(long, value_name = "DIR")]
    pub(crate) receipts: Option<PathBuf>,
}

/// Reads a time as ms since 1970.
pub(crate) fn time(text: &str) -> Result<i64, String> {
    if let Ok(ms) = text.parse::<i64>() {
        return if ms < 0 { Err("before 1970".into()) } else { Ok(ms) };
    }
    let text = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let time = DateTime::from_str(&text, Format::DateTimeWithOffset);
    time.ok()
        .and_then(|time| time.to_millis().ok())
        .filter(|ms| *ms >= 0)
        .ok_or_else(|| "expected 2026-11-22, 2026-11-22T08:00:00Z or ms since 1970".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_times_or_ms() {
        let noon = Ok(1_767_268_800_000);
        assert_eq!(time("2026-01-01T12:00:00Z"), noon);
        assert_eq!(time("2026-01-01T13:00:00+01:00"), noon);
        assert_eq!(time("1767268800000"), noon);
        assert_eq!(time("2026-01-01"), Ok(1_767_225_600_000));
        for bad in ["", "yesterday", "2026-13-01", "-5", "1e9", "2026-01-01 12:00"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
