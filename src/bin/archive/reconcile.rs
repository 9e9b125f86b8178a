//! `reconcile`: compares the table with Ably's history.

use ably_chat_exporter::backfill::Repair;
use clap::Args;

use crate::args::WalkFlags;
use crate::help::Ending;
use crate::output::Style;
use crate::walks::{Job, walk_rooms};
use crate::{Error, Exit};

const ENDING: Ending = Ending::of_walk(&[
    ("Name what is missing or differs", "reconcile --room support:42"),
    ("Fix it", "reconcile --room support:42 --repair"),
]);

/// Compares the table with Ably Chat's history, and names every gap.
///
/// It writes nothing, unless --repair or --leave-receipt is given. A gap is `missing` (a version is
/// not there), `older` (the table's latest version is not Ably's), `different` (the two have
/// different records of a version) or `reactions` (their reactions differ). What the table has and
/// Ably no longer lists is no gap.
#[derive(Args)]
#[command(after_long_help = ENDING)]
pub(crate) struct Flags {
    #[command(flatten)]
    walk: WalkFlags,
    /// Store what is missing or older, and Ably's record where the table has a different one
    #[arg(long)]
    repair: bool,
    /// Leave a receipt in the table, as --repair does
    #[arg(long, alias = "receipt")]
    leave_receipt: bool,
    /// Compare every version, also of messages whose versions were found complete before
    #[arg(long)]
    full: bool,
}

pub(crate) async fn run(flags: Flags, style: Style) -> Result<Exit, Error> {
    let job = Job {
        repair: if flags.repair { Repair::All } else { Repair::Nothing },
        is_executed: flags.repair || flags.leave_receipt,
        annotations: false,
        is_full: flags.full,
        goes_on: false,
    };
    walk_rooms(flags.walk, job, style).await
}
