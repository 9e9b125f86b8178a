//! What `backfill` and `reconcile` share: they walk rooms, many at once, until a signal stops them.

use std::sync::Arc;

use ably_chat_exporter::backfill::{Backfill, Repair, WalkError, Walked, Window};
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::time;
use futures_util::{StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::WalkFlags;
use crate::connect::prepare_backfill;
use crate::output::{Output, Style};
use crate::selection::gather;
use crate::total::Total;
use crate::{Error, Exit, receipt_files};

/// Rooms walked at once; the pace is for all of them together.
const ROOMS: usize = 16;
/// In ms: Ably's history may lag behind what was said.
const LAST_MINUTE: i64 = 60_000;

/// What is to be done in each room.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub(crate) repair: Repair,
    /// Whether anything is written.
    pub(crate) is_executed: bool,
    pub(crate) annotations: bool,
    pub(crate) is_full: bool,
    /// Whether it begins where complete receipts end, or looks at everything again.
    pub(crate) goes_on: bool,
}

pub(crate) async fn walk_rooms(walk: WalkFlags, job: Job, style: Style) -> Result<Exit, Error> {
    let window = window(&walk)?;
    let (backfill, filter) = prepare_backfill(job, walk.pace).await?;
    let backfill = Arc::new(backfill);
    if let Some(directory) = &walk.receipts {
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("--receipts {}: {error}", directory.display()))?;
    }
    let output = Arc::new(Output::new(style, !job.goes_on));
    stop_on_signals(&backfill, &output)?;
    let rooms = tokio::select! {
        rooms = gather(&walk.rooms, &backfill, filter.as_ref(), window) => rooms?,
        () = backfill.stop.wished() => return Ok(Exit::Stopped),
    };
    output.begin(rooms.len());
    let mut total = Total::new(window, job, walk.pace);
    let mut walks = stream::iter(rooms)
        .map(|room| {
            let (backfill, output) = (Arc::clone(&backfill), Arc::clone(&output));
            // A task of its own: rooms share the processors.
            let walk = walk_room(backfill, output, room.clone(), window, job.goes_on);
            async move { (room, tokio::spawn(walk).await) }
        })
        .buffer_unordered(ROOMS);
    while let Some((room, walked)) = walks.next().await {
        output.room_done();
        match walked? {
            Ok(walked) => {
                if let Some(directory) = &walk.receipts {
                    receipt_files::write(directory, &walked.receipts)?;
                }
                total.add(&output, &room, &walked);
            }
            Err(failure) => {
                if failure.is_fatal {
                    backfill.stop.now();
                }
                total.fail(&output, room, failure);
            }
        }
    }
    output.end();
    Ok(total.conclude(&output, &backfill))
}

fn window(walk: &WalkFlags) -> Result<Window, Error> {
    let latest = time::now() - LAST_MINUTE;
    let until = walk.until.unwrap_or(latest);
    if until > latest {
        return Err("--until has to be at least a minute ago: Ably's history lags behind".into());
    }
    if walk.since >= until {
        return Err("--since is not before --until".into());
    }
    Ok(Window { from: walk.since, until })
}

async fn walk_room(
    backfill: Arc<Backfill>,
    output: Arc<Output>,
    room: RoomName,
    mut window: Window,
    goes_on: bool,
) -> Result<Walked, WalkError> {
    if backfill.stop.is_due() {
        return Ok(Walked { is_stopped: true, ..Walked::default() });
    }
    let origin = window.from;
    // Receipts begin no earlier: what has expired is none of theirs.
    window = backfill.within_retention(window);
    if goes_on {
        let covered = backfill.covered_until(&room, Some(window.from)).await?;
        window.from = covered.unwrap_or(window.from);
    }
    if window.from >= window.until {
        let is_unknown = !backfill.store().knows(&room).await?;
        return Ok(Walked { is_unknown, ..Walked::default() });
    }
    backfill.walk(&room, (window, origin), &*output).await
}

/// Ctrl-C, and what service managers send.
fn stop_on_signals(backfill: &Arc<Backfill>, output: &Arc<Output>) -> Result<(), Error> {
    let (backfill, output) = (Arc::clone(backfill), Arc::clone(output));
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        let mut wish = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        wish().await;
        output.note("stopping once begun writes are done; another signal ends it at once");
        backfill.stop.now();
        wish().await;
        std::process::exit(130);
    });
    Ok(())
}
