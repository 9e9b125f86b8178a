//! What the commands work on, made of the environment.

use ably_chat_exporter::backfill::Backfill;
use ably_chat_exporter::config::AblyRestConfig;
use ably_chat_exporter::ingest::RoomFilter;
use ably_chat_exporter::setup;
use ably_chat_exporter::store::{ReactionClients, Store, TableError};

use crate::Error;
use crate::walks::Job;

/// Opens the table, for commands that ask nothing of Ably.
pub(crate) async fn open_store() -> Result<Store, Error> {
    let config = AblyRestConfig::from_env(false)?.config;
    let store = setup::store_anywhere(&config).await;
    check(&store).await?;
    Ok(store)
}

/// Prepares walks, at `pace` requests to Ably a second, and which rooms `ROOM_FILTER` keeps.
pub(crate) async fn prepare_backfill(
    job: Job,
    pace: f64,
) -> Result<(Backfill, Option<RoomFilter>), Error> {
    let config = AblyRestConfig::from_env(true)?;
    let clients = config.config.settings.reaction_clients;
    if job.annotations && clients == ReactionClients::Totals {
        return Err(
            "--annotations stores who reacted, and REACTION_CLIENTS=totals forbids that".into()
        );
    }
    let (mut backfill, filter) = setup::backfill(config, pace).await?;
    check(backfill.store()).await?;
    backfill.repair = job.repair;
    backfill.is_executed = job.is_executed;
    backfill.annotations = job.annotations;
    backfill.is_full = job.is_full;
    Ok((backfill, filter))
}

/// Stops at a table that nothing can be put into.
pub(crate) async fn check(store: &Store) -> Result<(), Error> {
    match store.check().await {
        Err(TableError::WrongSetting(reason)) => Err(reason.into()),
        // The check needs a permission that nothing else does, or the table does not answer now.
        Ok(()) | Err(TableError::Unknown(_)) => Ok(()),
    }
}
