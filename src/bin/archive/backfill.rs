//! `backfill`: stores what the table lacks.

use ably_chat_exporter::backfill::Repair;
use clap::Args;

use crate::args::WalkFlags;
use crate::help::Ending;
use crate::output::Style;
use crate::walks::{Job, walk_rooms};
use crate::{Error, Exit};

const ENDING: Ending = Ending::of_walk(&[
    ("What it would fetch, write and cost", "backfill --room support:42"),
    (
        "Do it, for every room that the exporter noted since then",
        "backfill --stored --since 2026-11-01 --execute",
    ),
]);

/// Stores what the table lacks of Ably Chat's history: messages, versions and reactions.
///
/// Without --execute it writes nothing, and prints what it would fetch, write and cost. It begins
/// where complete receipts of the room end, so the same command later stores what has come since.
/// Ctrl-C stops it, and the same command goes on from there.
#[derive(Args)]
#[command(after_long_help = ENDING)]
pub(crate) struct Flags {
    #[command(flatten)]
    walk: WalkFlags,
    /// Write, instead of printing what that would take
    #[arg(long)]
    execute: bool,
    /// Store each reaction of each client too: one more request for every message with reactions
    #[arg(long)]
    annotations: bool,
}

pub(crate) async fn run(flags: Flags, style: Style) -> Result<Exit, Error> {
    let job = Job {
        repair: Repair::Missing,
        is_executed: flags.execute,
        annotations: flags.annotations,
        is_full: false,
        goes_on: true,
    };
    walk_rooms(flags.walk, job, style).await
}
