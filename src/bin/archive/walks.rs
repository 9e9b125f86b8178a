//! `run` and `reconcile`: walks rooms.

use std::sync::Arc;

use ably_chat_exporter::aws::{self, Identity};
use ably_chat_exporter::backfill::{Backfill, Failure, Repair, Stop, Walked, Window};
use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::config::AblyRestConfig;
use ably_chat_exporter::ingest::Ingest;
use ably_chat_exporter::rest::{AblyRest, ApiKey};
use ably_chat_exporter::secret::Secret;
use ably_chat_exporter::store::{ReactionClients, Store, TableError};
use ably_chat_exporter::time;
use futures_util::{StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Rooms, Walk};
use crate::output::{Output, Style};
use crate::rooms::gather;
use crate::total::Total;
use crate::{Error, Exit};

/// Rooms walked at once; the pace is for all of them together.
const ROOMS: usize = 16;
/// Ably's history may lag behind what is said.
const LAST_MINUTE: i64 = 60_000;

/// What is to be done in each room.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub(crate) repair: Repair,
    /// Whether anything is written.
    pub(crate) is_executed: bool,
    pub(crate) annotations: bool,
    pub(crate) is_full: bool,
    /// `run`, which goes on where complete receipts end; `reconcile` looks at everything again.
    pub(crate) is_run: bool,
}

pub(crate) async fn walk_rooms(
    rooms: Rooms,
    walk: Walk,
    job: Job,
    style: Style,
) -> Result<Exit, Error> {
    let window = window(&walk)?;
    let backfill = Arc::new(prepare(&walk, job).await?);
    let output = Arc::new(Output::new(style, !job.is_run));
    stop_on_signals(&backfill, &output)?;
    let rooms = tokio::select! {
        rooms = gather(&rooms, &backfill, window) => rooms?,
        () = backfill.stop.wished() => return Ok(Exit::Stopped),
    };
    output.begin(rooms.len());
    let mut total = Total::new(window, job, walk.pace);
    let mut walks = stream::iter(rooms)
        .map(|room| {
            let (backfill, output) = (Arc::clone(&backfill), Arc::clone(&output));
            // A task of its own: rooms share the processors.
            let walk = walk_room(backfill, output, room.clone(), window, job.is_run);
            async move { (room, tokio::spawn(walk).await) }
        })
        .buffer_unordered(ROOMS);
    while let Some((room, walked)) = walks.next().await {
        output.room_done();
        match walked? {
            Ok(walked) => total.add(&output, &room, &walked, walk.receipts.as_deref())?,
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

fn window(walk: &Walk) -> Result<Window, Error> {
    let latest = time::now() - LAST_MINUTE;
    let until = walk.until.unwrap_or(latest);
    if until > latest {
        return Err("--until: at least a minute ago, for Ably's history lags behind".into());
    }
    if walk.since >= until {
        return Err("--since is not before --until".into());
    }
    Ok(Window { from: walk.since, until })
}

async fn prepare(walk: &Walk, job: Job) -> Result<Backfill, Error> {
    let mut config = AblyRestConfig::from_env(true)?;
    let clients = config.config.settings.reaction_clients;
    if job.annotations && clients == ReactionClients::Totals {
        return Err(
            "--annotations stores who reacted, and REACTION_CLIENTS=totals forbids that".into()
        );
    }
    if let Some(directory) = &walk.receipts {
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("--receipts {}: {error}", directory.display()))?;
    }
    let sdk = aws::connect(config.config.platform_roots, Identity::Anywhere).await;
    config.config.fetch_secrets(&sdk).await?;
    let source = config.api_key.ok_or("ABLY_API_KEY is not set")?;
    let key = Secret::new(source, ApiKey::parse, sdk.clone()).get().await?;
    let app = config.config.ably_app_id.as_deref();
    key.check_app(app).map_err(|reason| format!("ABLY_API_KEY: {reason}"))?;
    let rest = AblyRest::new(&key, config.url.as_deref(), Some(walk.pace))?;
    let ingest = Ingest::new(config.config, &sdk);
    check(&ingest.store).await?;
    let mut backfill = Backfill::new(rest, ingest, Stop::new(None));
    backfill.repair = job.repair;
    backfill.is_executed = job.is_executed;
    backfill.annotations = job.annotations;
    backfill.is_full = job.is_full;
    Ok(backfill)
}

/// Stops at a table that nothing can be put into.
pub(crate) async fn check(store: &Store) -> Result<(), Error> {
    match store.check().await {
        Err(TableError::WrongSetting(reason)) => Err(reason.into()),
        // Not asked for lack of a permission that is needed for nothing else, or not answered now.
        Ok(()) | Err(TableError::Unknown(_)) => Ok(()),
    }
}

async fn walk_room(
    backfill: Arc<Backfill>,
    output: Arc<Output>,
    room: RoomName,
    mut window: Window,
    is_run: bool,
) -> Result<Walked, Failure> {
    if backfill.stop.is_due() {
        return Ok(Walked { is_stopped: true, ..Walked::default() });
    }
    let origin = window.from;
    // Receipts begin no earlier: what has expired is none of theirs.
    window = backfill.within_retention(window);
    if is_run {
        let covered = backfill.covered_until(&room, Some(window.from)).await?;
        window.from = covered.unwrap_or(window.from);
    }
    if window.from >= window.until {
        let is_unknown = !backfill.ingest().store.knows(&room).await?;
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
        output.note("stopping once what is begun is stored; once more ends at once");
        backfill.stop.now();
        wish().await;
        std::process::exit(130);
    });
    Ok(())
}
