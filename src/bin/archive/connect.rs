//! What the commands work on, made of the environment.

use ably_chat_exporter::aws::{self, Identity};
use ably_chat_exporter::backfill::{Backfill, Stop};
use ably_chat_exporter::config::AblyRestConfig;
use ably_chat_exporter::ingest::Ingest;
use ably_chat_exporter::rest::{AblyRest, ApiKey};
use ably_chat_exporter::secret::Secret;
use ably_chat_exporter::store::{ReactionClients, Store, TableError};

use crate::Error;
use crate::walks::Job;

/// Opens the table, for commands that ask nothing of Ably.
pub(crate) async fn open_store() -> Result<Store, Error> {
    let config = AblyRestConfig::from_env(false)?.config;
    let sdk = aws::connect(config.platform_roots, Identity::Anywhere).await;
    let store = Ingest::new(config, &sdk).store;
    check(&store).await?;
    Ok(store)
}

/// Prepares walks, at `pace` requests to Ably a second.
pub(crate) async fn prepare_backfill(job: Job, pace: f64) -> Result<Backfill, Error> {
    let mut config = AblyRestConfig::from_env(true)?;
    let clients = config.config.settings.reaction_clients;
    if job.annotations && clients == ReactionClients::Totals {
        return Err(
            "--annotations stores who reacted, and REACTION_CLIENTS=totals forbids that".into()
        );
    }
    let sdk = aws::connect(config.config.platform_roots, Identity::Anywhere).await;
    config.config.fetch_secrets(&sdk).await?;
    let source = config.api_key.ok_or("ABLY_API_KEY is not set")?;
    let key = Secret::new(source, ApiKey::parse, sdk.clone()).get().await?;
    let app = config.config.ably_app_id.as_deref();
    key.check_app(app).map_err(|reason| format!("ABLY_API_KEY: {reason}"))?;
    let rest = AblyRest::new(&key, config.url.as_deref(), Some(pace))?;
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
async fn check(store: &Store) -> Result<(), Error> {
    match store.check().await {
        Err(TableError::WrongSetting(reason)) => Err(reason.into()),
        // The check needs a permission that nothing else does, or the table does not answer now.
        Ok(()) | Err(TableError::Unknown(_)) => Ok(()),
    }
}
