//! Settings become parts here, and nowhere else: clients, secrets, the store, what ingests, and the
//! programs made of them. What stops a program before it starts ends here too ([`or_exit`]).

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

use crate::ably::{CipherKey, Decoder, WebhookKeys, WebhookTokens};
use crate::aws::secret::{Secret, SecretError, SecretSource};
use crate::aws::sqs::SqsQueue;
use crate::aws::{self, Identity};
#[cfg(feature = "reconcile")]
use crate::backfill::{Backfill, Stop};
#[cfg(feature = "reconcile")]
use crate::config::AblyRestConfig;
#[cfg(feature = "history")]
use crate::config::HistoryConfig;
use crate::config::{Config, ConfigError, Switch};
use crate::exporter::{self, WebhookAuth};
#[cfg(feature = "history")]
use crate::history::publish::{Hook, Publish, Reconcile, Rules};
#[cfg(feature = "history")]
use crate::history::{Gaps, History, Upstream, auth};
#[cfg(feature = "reconcile")]
use crate::ingest::RoomFilter;
use crate::ingest::{Ingest, Sink};
use crate::lambda::Metrics;
use crate::logs;
use crate::mistake::Mistake;
#[cfg(feature = "reconcile")]
use crate::reconcile::{self, AblyAccess};
#[cfg(feature = "reconcile")]
use crate::rest::{AblyRest, ApiKey};
use crate::store::Store;

/// Why a program does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// Settings are missing or wrong.
    #[error(transparent)]
    WrongSettings(#[from] ConfigError),
    /// Ably's API cannot be asked from this machine: its root certificates cannot be read.
    #[error("Ably's API cannot be asked; are there root certificates on this machine? {0}")]
    NoClient(Mistake),
    /// A secret that is needed from the start on cannot be read, or is none.
    #[error("{setting}: {error}")]
    Secret {
        /// The setting that says where it is kept.
        setting: &'static str,
        /// Why.
        error: SecretError,
    },
}

impl NotStarted {
    /// Something is wrong that shows only when it is used; the mistake names the setting.
    pub fn wrong(mistake: impl Into<Mistake>) -> Self {
        let Mistake(mistake) = mistake.into();
        Self::WrongSettings(ConfigError(vec![mistake]))
    }

    /// Says so as a line of the log.
    pub fn log(&self) {
        match self {
            Self::WrongSettings(ConfigError(mistakes)) => logs::wrong_settings(mistakes),
            Self::NoClient(_) => logs::wrong_settings(&[self.to_string()]),
            Self::Secret { .. } => {
                tracing::error!(reason = %self, "not started: a secret cannot be read");
            }
        }
    }
}

/// What has been made; else says in the log why not, and ends the program with status 1.
pub fn or_exit<T>(made: Result<T, impl Into<NotStarted>>) -> T {
    made.unwrap_or_else(|error| {
        error.into().log();
        std::process::exit(1)
    })
}

/// The exporter's function.
///
/// # Errors
/// When it cannot start.
pub async fn exporter(config: Config) -> Result<exporter::Function, NotStarted> {
    let sdk = aws::connect(config.platform_roots, Identity::Environment).await;
    let (keys, token) = (config.webhook_keys.clone(), config.webhook_token.clone());
    Ok(exporter::Function {
        webhook_auth: WebhookAuth {
            keys: keys.map(|source| Secret::new(source, WebhookKeys::parse, sdk.clone())),
            token: token.map(|source| Secret::new(source, WebhookTokens::parse, sdk.clone())),
        },
        ingest: ingest(config, &sdk).await?,
        metrics: Metrics::default(),
    })
}

/// What takes records in.
///
/// # Errors
/// When `CIPHER_KEY` cannot be read.
pub async fn ingest(config: Config, sdk: &SdkConfig) -> Result<Ingest, NotStarted> {
    let queue = config.failure_queue_url.clone();
    Ok(Ingest {
        failure_queue: queue.map(|url| SqsQueue::new(url, sdk.clone())),
        sink: sink(config, sdk).await?,
    })
}

/// What stores records.
///
/// # Errors
/// When `CIPHER_KEY` cannot be read.
pub async fn sink(config: Config, sdk: &SdkConfig) -> Result<Sink, NotStarted> {
    Ok(Sink {
        store: store(&config, sdk),
        decoder: Decoder {
            app_id: config.ably_app_id,
            cipher_key: cipher_key(config.cipher_key, sdk).await?,
        },
        room_filter: config.room_filter,
        room_index: (config.room_index == Switch::On).then(Arc::default),
    })
}

/// The table.
#[must_use]
pub fn store(config: &Config, sdk: &SdkConfig) -> Store {
    Store::new(Client::new(sdk), config.table_name.as_str(), config.settings)
}

async fn cipher_key(
    source: Option<SecretSource>,
    sdk: &SdkConfig,
) -> Result<Option<CipherKey>, NotStarted> {
    let Some(source) = source else { return Ok(None) };
    let key = Secret::new(source, CipherKey::from_base64, sdk.clone()).get().await;
    let key = key.map_err(|error| NotStarted::Secret { setting: "CIPHER_KEY", error })?;
    Ok(Some((*key).clone()))
}

/// The reconcile function.
///
/// # Errors
/// When it cannot start.
#[cfg(feature = "reconcile")]
pub async fn reconcile(config: AblyRestConfig) -> Result<reconcile::Function, NotStarted> {
    let missing = |name| NotStarted::wrong(format!("{name} is not set"));
    let key = config.api_key.ok_or_else(|| missing("ABLY_API_KEY"))?;
    let queue = config.queue_url.ok_or_else(|| missing("RECONCILE_QUEUE_URL"))?;
    let sdk = aws::connect(config.config.platform_roots, Identity::Environment).await;
    let access = AblyAccess {
        key: Secret::new(key, ApiKey::parse, sdk.clone()),
        app_id: config.config.ably_app_id.clone(),
        url: config.url,
        pace: config.pace,
    };
    let sink = sink(config.config, &sdk).await?;
    let queue = SqsQueue::new(queue, sdk);
    Ok(reconcile::Function::new(access, sink, queue, config.history_days))
}

/// The read API, wherever it runs.
///
/// # Errors
/// When it cannot start.
#[cfg(feature = "history")]
pub async fn history(config: HistoryConfig, identity: Identity) -> Result<History, NotStarted> {
    let keys = config.keys.clone().ok_or_else(|| NotStarted::wrong("HISTORY_KEYS is not set"))?;
    let sdk = aws::connect(config.config.platform_roots, identity).await;
    let upstream = Upstream::new(config.url.as_deref()).map_err(NotStarted::NoClient)?;
    let upstream = Arc::new(upstream);
    let keys = Secret::new(keys, auth::HistoryKeys::parse, sdk.clone());
    let app_id = config.config.ably_app_id.clone();
    let rooms = || config.queue_url.clone().map(|url| SqsQueue::new(url, sdk.clone()));
    Ok(History {
        store: store(&config.config, &sdk),
        gate: auth::Gate::new(keys, app_id, config.asks_ably),
        source: config.source,
        upstream: Arc::clone(&upstream),
        gaps: rooms().map(|queue| Gaps::new(queue, config.config.room_filter.clone())),
        publish: match config.publishes {
            true => Some(Arc::new(publish(config, upstream, &sdk).await?)),
            false => None,
        },
    })
}

#[cfg(feature = "history")]
async fn publish(
    config: HistoryConfig,
    upstream: Arc<Upstream>,
    sdk: &SdkConfig,
) -> Result<Publish, NotStarted> {
    let rules = match config.publish_rules {
        Some(source) => {
            let rules = Secret::new(source, Rules::parse, sdk.clone()).get().await;
            let rules =
                rules.map_err(|error| NotStarted::Secret { setting: "PUBLISH_RULES", error });
            Some((*rules?).clone())
        }
        None => None,
    };
    let hook = config.publish_hook.map(|address| Hook::new(address, sdk.clone())).transpose();
    let rooms = config.queue_url.map(|url| SqsQueue::new(url, sdk.clone()));
    Ok(Publish {
        upstream,
        apps: config.config.ably_app_id.clone().into_iter().collect(),
        ingest: ingest(config.config, sdk).await?,
        rules,
        hook: hook.map_err(NotStarted::NoClient)?,
        reconcile: rooms.map(Reconcile::new),
    })
}

/// The store alone, for programs that are no Lambda functions.
pub async fn store_anywhere(config: &Config) -> Store {
    store(config, &aws::connect(config.platform_roots, Identity::Anywhere).await)
}

/// What walks rooms, and which of them, for programs that are no Lambda functions. It makes at most
/// `pace` requests to Ably a second, and writes nothing yet.
///
/// # Errors
/// When it cannot start.
#[cfg(feature = "reconcile")]
pub async fn backfill(
    config: AblyRestConfig,
    pace: f64,
) -> Result<(Backfill, Option<RoomFilter>), NotStarted> {
    let source = config.api_key.ok_or_else(|| NotStarted::wrong("ABLY_API_KEY is not set"))?;
    let sdk = aws::connect(config.config.platform_roots, Identity::Anywhere).await;
    let sink = sink(config.config, &sdk).await?;
    let key = Secret::new(source, ApiKey::parse, sdk).get().await;
    let key = key.map_err(|error| NotStarted::Secret { setting: "ABLY_API_KEY", error })?;
    key.check_app(sink.decoder.app_id.as_deref())
        .map_err(|mistake| NotStarted::wrong(format!("ABLY_API_KEY: {mistake}")))?;
    let rest = AblyRest::new(&key, config.url.as_deref(), Some(pace));
    let rest = rest.map_err(NotStarted::NoClient)?;
    let room_filter = sink.room_filter.clone();
    let mut backfill = Backfill::new(rest, sink.store, Stop::new(None));
    backfill.cipher_key = sink.decoder.cipher_key;
    backfill.room_index = sink.room_index;
    Ok((backfill, room_filter))
}

/// The consumer's ingest, wherever it runs.
///
/// # Errors
/// When it cannot start.
#[cfg(feature = "queue")]
pub async fn consumer_ingest(config: Config) -> Result<Ingest, NotStarted> {
    let sdk = aws::connect(config.platform_roots, Identity::Anywhere).await;
    ingest(config, &sdk).await
}
