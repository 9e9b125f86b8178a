//! Settings of what asks Ably's REST API: those of the function, and where and who.

use crate::aws::secret::SecretSource;
use crate::config::exporter::Config;
use crate::config::reader::{ConfigError, Reader, environment, secret};
use crate::mistake::Mistake;
use crate::rest::{ApiKey, base_url};

/// Settings of the backfill and the reconcile function.
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
    /// `HISTORY_DAYS`: how long Ably keeps messages.
    pub history_days: u16,
}

/// What Ably keeps unless it is asked for more, and the most that it keeps (Ably docs, "Chat
/// history"), in days.
const HISTORY_DAYS: u16 = 30;
const MAX_HISTORY_DAYS: u16 = 366;

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
            history_days: reader.parsed("HISTORY_DAYS", history_days).unwrap_or(HISTORY_DAYS),
        };
        if let Err(reason) = config.check_app() {
            reader.mistakes.push(format!("ABLY_API_KEY: {reason}"));
        }
        reader.finish(config)
    }
}

impl AblyRestConfig {
    /// Checks a key that is given here; one that is kept elsewhere is checked when it is read.
    fn check_app(&self) -> Result<(), Mistake> {
        match &self.api_key {
            Some(SecretSource::Text(text)) => {
                ApiKey::parse(text)?.check_app(self.config.ably_app_id.as_deref())
            }
            _ => Ok(()),
        }
    }
}

fn history_days(text: &str) -> Result<u16, Mistake> {
    match text.parse() {
        Ok(days @ 1..=MAX_HISTORY_DAYS) => Ok(days),
        _ => Err(Mistake(format!("expected a whole number of days from 1 to {MAX_HISTORY_DAYS}"))),
    }
}

/// Reads a number of requests a second.
///
/// # Errors
/// When it is none, or none that makes sense.
pub fn pace(text: &str) -> Result<f64, Mistake> {
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
        let settings = [
            ("ABLY_REST_URL", "http://ably.example"),
            ("RECONCILE_PACE", "0"),
            ("HISTORY_DAYS", "367"),
        ];
        let read = |name: &str| settings.iter().find(|(it, _)| *it == name).map(|it| it.1.into());
        let ConfigError(mistakes) = AblyRestConfig::read(read, true).unwrap_err();
        for start in [
            "TABLE_NAME is not set",
            "ABLY_API_KEY is not set",
            "ABLY_REST_URL: the key would travel in the clear",
            "RECONCILE_PACE: expected requests a second",
            "HISTORY_DAYS: expected a whole number of days from 1 to 366",
        ] {
            assert!(mistakes.iter().any(|it| it.starts_with(start)), "{start} in {mistakes:?}");
        }
        assert_eq!(mistakes.len(), 5);
    }

    #[test]
    fn regression_the_key_of_another_app_is_a_mistake() {
        let read = |key: &'static str| {
            AblyRestConfig::read(
                |name| match name {
                    "TABLE_NAME" => Some("table".into()),
                    "ABLY_APP_ID" => Some("prod".into()),
                    "ABLY_API_KEY" => Some(key.into()),
                    _ => None,
                },
                true,
            )
        };
        let ConfigError(mistakes) = read("staging.key:s3cret").unwrap_err();
        assert_eq!(
            mistakes,
            ["ABLY_API_KEY: a key of app \"staging\", but ABLY_APP_ID is \"prod\""]
        );
        let config = read("prod.key:s3cret").unwrap();
        assert_eq!(config.history_days, 30);
        // Where it is kept, it is checked when it is read.
        assert!(read("arn:aws:ssm:eu-west-1:123456789012:parameter/chat/key").is_ok());
    }
}
