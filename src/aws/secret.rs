//! Settings that are secrets: given as they are, or as the ARN of a parameter of SSM Parameter
//! Store or of a secret of Secrets Manager. The only user of those two SDKs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
#[cfg(feature = "secrets")]
use aws_config::timeout::TimeoutConfig;
use tokio::time::Instant;

#[cfg(feature = "secrets")]
use crate::aws;
use crate::mistake::Mistake;

/// How long a fetched secret is used without asking again.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Once a secret has been refused, it is fetched again if it is older than this: it may have been
/// changed. Whoever keeps sending wrong ones causes no more calls than that.
const MAX_AGE_ONCE_REFUSED: Duration = Duration::from_secs(30);
/// Once a fetch has failed, the known secret is used so long without asking again: a service that
/// does not answer must not hold up every request.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);
/// How long a fetch may take, with two attempts. It takes milliseconds; the sender waits seconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same where there is a known secret to go on with.
const TIMEOUT_WHILE_KNOWN: Duration = Duration::from_secs(1);

#[cfg(not(feature = "secrets"))]
const NOT_BUILT_IN: &str =
    "an ARN, which this program cannot read: it is built without the feature `secrets`";

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The setting's own text.
    Text(String),
    /// The ARN of an SSM parameter.
    Parameter(String),
    /// The ARN of a Secrets Manager secret.
    Secret(String),
}

impl SecretSource {
    /// Reads a setting: an ARN is a reference, anything else the secret.
    ///
    /// # Errors
    /// When it is an ARN of neither service.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let mut parts = text.split(':');
        if parts.next() != Some("arn") {
            return Ok(Self::Text(text.into()));
        }
        #[cfg(not(feature = "secrets"))]
        return Err(NOT_BUILT_IN.into());
        #[cfg(feature = "secrets")]
        match parts.nth(1) {
            Some("ssm") => Ok(Self::Parameter(text.into())),
            Some("secretsmanager") => Ok(Self::Secret(text.into())),
            _ => {
                Err("an ARN, but neither of an SSM parameter nor of a Secrets Manager secret"
                    .into())
            }
        }
    }

    async fn fetch(&self, config: &SdkConfig, timeout: Duration) -> Result<String, SecretError> {
        let failed = |reason: &str| match self {
            Self::Text(_) => SecretError(reason.to_owned()),
            Self::Parameter(arn) => SecretError(format!("ssm:GetParameter on {arn}: {reason}")),
            Self::Secret(arn) => {
                SecretError(format!("secretsmanager:GetSecretValue on {arn}: {reason}"))
            }
        };
        match tokio::time::timeout(timeout, self.ask(config, timeout / 2)).await {
            Ok(Ok(Some(text))) => Ok(text),
            Ok(Ok(None)) => Err(failed("it holds no text")),
            Ok(Err(reason)) => Err(failed(&reason)),
            Err(_) => Err(failed(&format!("no answer within {timeout:?}"))),
        }
    }

    #[cfg(feature = "secrets")]
    async fn ask(&self, config: &SdkConfig, attempt: Duration) -> Result<Option<String>, String> {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).build();
        match self {
            Self::Text(text) => Ok(Some(text.clone())),
            Self::Parameter(arn) => {
                let config = aws_sdk_ssm::config::Builder::from(config).timeout_config(timeouts);
                let client = aws_sdk_ssm::Client::from_conf(config.build());
                let found = client.get_parameter().name(arn).with_decryption(true).send().await;
                let found = found.map_err(|error| aws::describe(&error))?;
                Ok(found.parameter.and_then(|parameter| parameter.value))
            }
            Self::Secret(arn) => {
                let config =
                    aws_sdk_secretsmanager::config::Builder::from(config).timeout_config(timeouts);
                let client = aws_sdk_secretsmanager::Client::from_conf(config.build());
                let found = client.get_secret_value().secret_id(arn).send().await;
                Ok(found.map_err(|error| aws::describe(&error))?.secret_string)
            }
        }
    }

    #[cfg(not(feature = "secrets"))]
    #[expect(clippy::unused_async, reason = "stands in for the one that asks")]
    async fn ask(&self, _config: &SdkConfig, _attempt: Duration) -> Result<Option<String>, String> {
        match self {
            Self::Text(text) => Ok(Some(text.clone())),
            Self::Parameter(_) | Self::Secret(_) => Err(NOT_BUILT_IN.into()),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::Parameter(arn) | Self::Secret(arn) => f.write_str(arn),
        }
    }
}

/// A secret could not be read. A webhook is then answered 503, so that Ably sends it again; a
/// program that needs the secret from the start on does not start; a reconcile is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SecretError(String);

/// A secret that is read when it is needed, and again when it is old.
#[derive(Debug)]
pub struct Secret<T> {
    source: SecretSource,
    parse: fn(&str) -> Result<T, Mistake>,
    config: SdkConfig,
    state: Mutex<State<T>>,
    /// Held by whoever fetches it; the others wait for that fetch.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State<T> {
    /// The secret, and when it was read.
    known: Option<(Instant, Arc<T>)>,
    /// Why it could not be read the last time, and when that was.
    failed: Option<(Instant, SecretError)>,
}

impl<T> Secret<T> {
    /// The secret at `source`, to be read by `parse`.
    pub fn new(
        source: SecretSource,
        parse: fn(&str) -> Result<T, Mistake>,
        config: SdkConfig,
    ) -> Self {
        let state = Mutex::new(State { known: None, failed: None });
        Self { source, parse, config, state, fetching: tokio::sync::Mutex::default() }
    }

    /// Whether `accept` takes the secret; if it does not, and the secret may have been changed
    /// since it was read, whether it takes the new one.
    ///
    /// # Errors
    /// When the secret has never been read, and cannot be now.
    pub async fn check(&self, accept: impl Fn(&T) -> bool) -> Result<bool, SecretError> {
        let found = self.find(|secret| accept(secret).then_some(())).await?;
        Ok(found.is_some())
    }

    /// What `find` finds in the secret; if nothing, and the secret may have been changed since it
    /// was read, what it finds in the new one.
    ///
    /// # Errors
    /// When the secret has never been read and cannot be now, or nothing is found in it and the
    /// last attempt to read it again failed.
    pub async fn find<R>(&self, find: impl Fn(&T) -> Option<R>) -> Result<Option<R>, SecretError> {
        let found = find(&*self.read(MAX_AGE).await?);
        match found {
            Some(found) => Ok(Some(found)),
            None => match (find(&*self.read(MAX_AGE_ONCE_REFUSED).await?), &self.lock().failed) {
                // The new secret may have it, and could not be read: not for the sender to answer
                // for.
                (None, Some((_, reason))) => Err(reason.clone()),
                (found, _) => Ok(found),
            },
        }
    }

    /// The secret, at most five minutes old.
    ///
    /// # Errors
    /// When it has never been read, and cannot be now.
    pub async fn get(&self) -> Result<Arc<T>, SecretError> {
        self.read(MAX_AGE).await
    }

    async fn read(&self, max_age: Duration) -> Result<Arc<T>, SecretError> {
        let asked_at = Instant::now();
        if let Some(answer) = self.answer(max_age, asked_at) {
            return answer;
        }
        let _alone = self.fetching.lock().await;
        if let Some(answer) = self.answer(max_age, asked_at) {
            return answer;
        }
        let known = self.lock().known.as_ref().map(|(_, value)| Arc::clone(value));
        let timeout = if known.is_some() { TIMEOUT_WHILE_KNOWN } else { TIMEOUT };
        let fetched = self.source.fetch(&self.config, timeout).await;
        let fetched = fetched.and_then(|text| {
            (self.parse)(&text).map(Arc::new).map_err(|Mistake(what)| SecretError(what))
        });
        let now = Instant::now();
        match (fetched, known) {
            (Ok(value), _) => {
                *self.lock() = State { known: Some((now, Arc::clone(&value))), failed: None };
                Ok(value)
            }
            (Err(reason), known) => {
                self.lock().failed = Some((now, reason.clone()));
                let value = known.ok_or_else(|| reason.clone())?;
                tracing::warn!(%reason, "a secret could not be read again; the known one is used");
                Ok(value)
            }
        }
    }

    /// The answer to a question of `asked_at`, if it takes no fetch.
    fn answer(&self, max_age: Duration, asked_at: Instant) -> Option<Result<Arc<T>, SecretError>> {
        match &*self.lock() {
            State { known: Some((read_at, value)), failed } => {
                let failed_at = failed.as_ref().map(|(failed_at, _)| failed_at.elapsed());
                let is_left = failed_at.is_some_and(|elapsed| elapsed < PAUSE_AFTER_FAILURE);
                (is_left || read_at.elapsed() < max_age).then(|| Ok(Arc::clone(value)))
            }
            // Somebody else has asked meanwhile.
            State { known: None, failed: Some((failed_at, reason)) } if *failed_at >= asked_at => {
                Some(Err(reason.clone()))
            }
            State { known: None, .. } => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
