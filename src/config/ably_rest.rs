//! Settings of what asks Ably's REST API: those of the function, and where and who.

use super::{Config, ConfigError, Reader, environment, secret};
use crate::rest::{ApiKey, base_url};
use crate::secret::SecretSource;

/// Everything the backfill and the reconcile function can be told by the environment.
#[derive(Clone, Debug)]
pub struct AblyRestConfig {
    /// What is stored, and where.
    pub config: Config,
    /// `ABLY_API_KEY`: a key with the capability `history`, or the ARN of where it is kept.
    pub api_key: Option<SecretSource>,
    /// `ABLY_REST_URL`: where the API is, if it is not where Ably's own is.
    pub url: Option<String>,
    /// `RECONCILE_QUEUE_URL`: the SQS queue of rooms to be reconciled.
    pub queue_url: Option<String>,
    /// `RECONCILE_PACE`: requests a second.
    pub pace: Option<f64>,
}

impl AblyRestConfig {
    /// Reads the environment; without a key, where none is needed.
    ///
    /// # Errors
    /// When a setting is missing or wrong; the error names all of them.
    pub fn from_env(needs_key: bool) -> Result<Self, ConfigError> {
        Self::read(environment, needs_key)
    }

    /// Reads settings by name.
    ///
    /// # Errors
    /// As [`AblyRestConfig::from_env`].
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        needs_key: bool,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, mistakes: Vec::new() };
        if needs_key && reader.text("ABLY_API_KEY").is_none() {
            reader.mistakes.push("ABLY_API_KEY is not set".into());
        }
        let config = Self {
            config: Config::read_by(&mut reader),
            api_key: reader.parsed("ABLY_API_KEY", |text| secret(text, ApiKey::parse)),
            url: reader.parsed("ABLY_REST_URL", base_url),
            queue_url: reader.text("RECONCILE_QUEUE_URL"),
            pace: reader.parsed("RECONCILE_PACE", pace),
        };
        reader.finish(config)
    }
}

/// Reads a number of requests a second.
///
/// # Errors
/// When it is none, or none that makes sense.
pub fn pace(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(pace) if (0.01..=10_000.0).contains(&pace) => Ok(pace),
        _ => Err("expected requests a second, 0.01 to 10000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_at_once() {
        let settings = [("ABLY_REST_URL", "http://ably.example"), ("RECONCILE_PACE", "0")];
        let read = |name: &str| settings.iter().find(|(it, _)| *it == name).map(|it| it.1.into());
        let ConfigError(mistakes) = AblyRestConfig::read(read, true).unwrap_err();
        for start in [
            "TABLE_NAME is not set",
            "ABLY_API_KEY is not set",
            "ABLY_REST_URL: the key would travel in the clear",
            "RECONCILE_PACE: expected requests a second",
        ] {
            assert!(mistakes.iter().any(|it| it.starts_with(start)), "{start} in {mistakes:?}");
        }
        assert_eq!(mistakes.len(), 4);
    }
}
