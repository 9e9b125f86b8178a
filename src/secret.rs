//! Settings that are secrets: given as they are, or as the ARN of a parameter of SSM Parameter Store
//! or of a secret of Secrets Manager. The only user of those two SDKs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::aws;

/// How long a fetched secret is used without asking again.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Once a secret has been refused, it is fetched again if it is older than this: it may have been
/// changed. Whoever keeps sending wrong ones causes no more calls than that.
const MAX_AGE_ONCE_REFUSED: Duration = Duration::from_secs(30);
/// A fetch takes milliseconds; the sender waits seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

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
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        if parts.next() != Some("arn") {
            return Ok(Self::Text(text.into()));
        }
        match parts.nth(1) {
            Some("ssm") => Ok(Self::Parameter(text.into())),
            Some("secretsmanager") => Ok(Self::Secret(text.into())),
            _ => {
                Err("an ARN, but neither of an SSM parameter nor of a Secrets Manager secret"
                    .into())
            }
        }
    }

    async fn fetch(&self, config: &SdkConfig) -> Result<String, String> {
        let failed = |reason: &str| match self {
            Self::Text(_) => reason.to_owned(),
            Self::Parameter(arn) => format!("ssm:GetParameter on {arn}: {reason}"),
            Self::Secret(arn) => format!("secretsmanager:GetSecretValue on {arn}: {reason}"),
        };
        match tokio::time::timeout(TIMEOUT, self.ask(config)).await {
            Ok(Ok(Some(text))) => Ok(text),
            Ok(Ok(None)) => Err(failed("it holds no text")),
            Ok(Err(reason)) => Err(failed(&reason)),
            Err(_) => Err(failed(&format!("no answer within {TIMEOUT:?}"))),
        }
    }

    async fn ask(&self, config: &SdkConfig) -> Result<Option<String>, String> {
        match self {
            Self::Text(text) => Ok(Some(text.clone())),
            Self::Parameter(arn) => {
                let client = aws_sdk_ssm::Client::new(config);
                let found = client.get_parameter().name(arn).with_decryption(true).send().await;
                let found = found.map_err(|error| aws::describe(&error))?;
                Ok(found.parameter.and_then(|parameter| parameter.value))
            }
            Self::Secret(arn) => {
                let client = aws_sdk_secretsmanager::Client::new(config);
                let found = client.get_secret_value().secret_id(arn).send().await;
                Ok(found.map_err(|error| aws::describe(&error))?.secret_string)
            }
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

/// A secret that is read when it is needed, and again when it is old.
#[derive(Debug)]
pub struct Secret<T> {
    source: SecretSource,
    parse: fn(&str) -> Result<T, String>,
    config: SdkConfig,
    known: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Secret<T> {
    /// The secret at `source`, to be read by `parse`.
    pub fn new(
        source: SecretSource,
        parse: fn(&str) -> Result<T, String>,
        config: SdkConfig,
    ) -> Self {
        Self { source, parse, config, known: Mutex::new(None) }
    }

    /// Whether `accept` takes the secret; if it does not, and the secret may have been changed
    /// since it was read, whether it takes the new one.
    ///
    /// # Errors
    /// When the secret has never been read, and cannot be now.
    pub async fn check(&self, accept: impl Fn(&T) -> bool) -> Result<bool, String> {
        if accept(&*self.read(MAX_AGE).await?) {
            return Ok(true);
        }
        Ok(accept(&*self.read(MAX_AGE_ONCE_REFUSED).await?))
    }

    /// The secret, at most five minutes old.
    ///
    /// # Errors
    /// When it has never been read, and cannot be now.
    pub async fn get(&self) -> Result<Arc<T>, String> {
        self.read(MAX_AGE).await
    }

    async fn read(&self, max_age: Duration) -> Result<Arc<T>, String> {
        let known = self.lock().clone();
        if let Some((read_at, value)) = &known
            && read_at.elapsed() < max_age
        {
            return Ok(Arc::clone(value));
        }
        let fetched = self.source.fetch(&self.config).await;
        let fetched = fetched.and_then(|text| (self.parse)(&text));
        match (fetched, known) {
            (Ok(value), _) => {
                let value = Arc::new(value);
                *self.lock() = Some((Instant::now(), Arc::clone(&value)));
                Ok(value)
            }
            (Err(reason), Some((_, value))) => {
                tracing::warn!(reason, "a secret could not be read again; the known one is used");
                Ok(value)
            }
            (Err(reason), None) => Err(reason),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Arc<T>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
