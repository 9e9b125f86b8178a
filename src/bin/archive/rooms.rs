//! `rooms`: lists the rooms that the exporter noted in the table.

use ably_chat_exporter::backfill::{Window, days_seen};
use ably_chat_exporter::time;
use clap::Args;
use serde_json::json;

use crate::args;
use crate::connect::open_store;
use crate::help::Ending;
use crate::output::{Output, Style, counted};
use crate::{Error, Exit};

const ENDING: Ending = Ending::of_table(
    &[
        ("Every room of the last year", "rooms"),
        ("Their names alone, as --rooms-file takes them", "rooms --json | jq -r '.room // empty'"),
    ],
    &[(Exit::Complete, "listed"), (Exit::Failed, "it could not begin, or failed")],
);

/// Lists the rooms that the exporter noted in the table, and on how many days each.
///
/// It reads the table, and asks nothing of Ably.
#[derive(Args)]
#[command(after_long_help = ENDING)]
pub(crate) struct Flags {
    /// Only rooms noted since then: a day (2026-11-22), a time (2026-11-22T08:00:00Z) or ms since
    /// 1970. Default: a year ago
    #[arg(long, value_name = "TIME", value_parser = args::time, default_value = "0")]
    #[arg(hide_default_value = true)]
    since: i64,
    /// Only rooms noted before then. Default: now
    #[arg(long, value_name = "TIME", value_parser = args::time)]
    until: Option<i64>,
}

pub(crate) async fn run(flags: Flags, style: Style) -> Result<Exit, Error> {
    let store = open_store().await?;
    let output = Output::new(style, true);
    let window = Window { from: flags.since, until: flags.until.unwrap_or_else(time::now) };
    let rooms = days_seen(&store, window).await?;
    for (room, seen) in &rooms {
        let (first, last) = (time::day(seen.first), time::day(seen.last));
        let members = json!({"room": room, "days": seen.count, "first": first, "last": last});
        let days = counted(seen.count as u64, "day");
        output.result("room", &members, &format!("{room}: {days}, from {first} to {last}"));
    }
    let text = counted(rooms.len() as u64, "room");
    output.result("summary", &json!({"rooms": rooms.len()}), &text);
    Ok(Exit::Complete)
}
