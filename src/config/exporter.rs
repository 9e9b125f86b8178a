//! Settings of the exporter, which the other programs share.

use crate::ably::{CipherKey, WebhookKeys, WebhookTokens};
use crate::aws::secret::SecretSource;
use crate::config::reader::{ConfigError, Reader, environment, secret};
use crate::ingest::RoomFilter;
use crate::mistake::{Mistake, words};
use crate::store::Settings;

/// Everything the function can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`: the DynamoDB table.
    pub table_name: String,
    /// `VERSIONS`, `REACTIONS`, `REACTION_CLIENTS`, `RETENTION_DAYS`: what is stored;
    /// `BULK_INSERTS`: how.
    pub settings: Settings,
    /// `ROOM_FILTER`: store only rooms whose name this matches somewhere.
    pub room_filter: Option<RoomFilter>,
    /// `ROOM_INDEX`: note which rooms there are.
    pub room_index: Switch,
    /// `ABLY_APP_ID`: refuse events of other Ably apps.
    pub ably_app_id: Option<String>,
    /// `CIPHER_KEY`: decrypts encrypted messages.
    pub cipher_key: Option<SecretSource>,
    /// `WEBHOOK_KEYS`: Ably API keys that sign webhooks.
    pub webhook_keys: Option<SecretSource>,
    /// `WEBHOOK_TOKEN`: what the header `X-Webhook-Token` says in requests that Ably does not sign.
    pub webhook_token: Option<SecretSource>,
    /// `FAILURE_QUEUE_URL`: the SQS queue that keeps what cannot be stored.
    pub failure_queue_url: Option<String>,
    /// `LOG_LEVEL`; else `AWS_LAMBDA_LOG_LEVEL`, which Lambda sets from the function's logging
    /// configuration, and by which it drops lines itself.
    pub log_level: tracing::Level,
    /// `SSL_CERT_FILE` or `SSL_CERT_DIR` is set: trust what is in there instead of the built-in
    /// Amazon roots.
    pub platform_roots: bool,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// It is.
    #[default]
    On,
    /// It is not.
    Off,
}

words!(Switch, "on" => On, "off" => Off);

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// When a setting is missing or wrong; the error names all of them.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(environment)
    }

    /// Reads settings by name. An empty value is an absent one, which is what a template passes
    /// for a parameter left blank.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, mistakes: Vec::new() };
        let config = Self::read_by(&mut reader);
        reader.finish(config)
    }

    pub(super) fn read_by<F: Fn(&str) -> Option<String>>(reader: &mut Reader<F>) -> Self {
        let log_level =
            ["LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL"].map(|name| reader.parsed(name, log_level));
        Self {
            table_name: reader.required("TABLE_NAME", |text| Ok(text.to_owned())),
            settings: Settings {
                versions: reader.choice("VERSIONS"),
                reactions: reader.choice("REACTIONS"),
                reaction_clients: reader.choice("REACTION_CLIENTS"),
                retention_days: reader.parsed("RETENTION_DAYS", retention_days),
                bulk_inserts: reader.choice("BULK_INSERTS"),
            },
            room_filter: reader.parsed("ROOM_FILTER", |text| {
                RoomFilter::parse(text)
                    .map_err(|error| Mistake(format!("not a regular expression: {error}")))
            }),
            room_index: reader.choice("ROOM_INDEX"),
            ably_app_id: reader.text("ABLY_APP_ID"),
            cipher_key: reader.parsed("CIPHER_KEY", |text| secret(text, CipherKey::from_base64)),
            webhook_keys: reader.parsed("WEBHOOK_KEYS", |text| secret(text, WebhookKeys::parse)),
            webhook_token: reader
                .parsed("WEBHOOK_TOKEN", |text| secret(text, WebhookTokens::parse)),
            failure_queue_url: reader.text("FAILURE_QUEUE_URL"),
            log_level: log_level.into_iter().flatten().next().unwrap_or(tracing::Level::INFO),
            platform_roots: ["SSL_CERT_FILE", "SSL_CERT_DIR"]
                .iter()
                .any(|name| reader.text(name).is_some()),
        }
    }
}

/// A hundred years; more is a typing mistake, and would overflow nothing but common sense.
const MAX_RETENTION_DAYS: u32 = 36_500;

fn retention_days(text: &str) -> Result<u32, Mistake> {
    match text.parse() {
        Ok(days @ 1..=MAX_RETENTION_DAYS) => Ok(days),
        _ => {
            Err(Mistake(format!("expected a whole number of days from 1 to {MAX_RETENTION_DAYS}")))
        }
    }
}

fn log_level(text: &str) -> Result<tracing::Level, Mistake> {
    match text.to_ascii_uppercase().as_str() {
        "FATAL" => Ok(tracing::Level::ERROR), // Lambda's word; tracing has none above ERROR
        other => {
            other.parse().map_err(|_| "expected TRACE, DEBUG, INFO, WARN, ERROR or FATAL".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let map: HashMap<_, _> = pairs.iter().copied().collect();
        Config::read(|name| map.get(name).map(ToString::to_string))
    }

    #[test]
    fn only_the_table_is_required_and_blank_means_default() {
        let config = read(&[("TABLE_NAME", "t"), ("ROOM_FILTER", ""), ("VERSIONS", "")]).unwrap();
        assert_eq!(config.settings, Settings::default());
        assert!(config.room_filter.is_none() && config.cipher_key.is_none());
        assert!(!config.platform_roots);
        assert_eq!(config.log_level, tracing::Level::INFO);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let ConfigError(mistakes) = read(&[
            ("VERSIONS", "every"),
            ("REACTIONS", "Latest"),
            ("REACTION_CLIENTS", "names"),
            ("RETENTION_DAYS", "0"),
            ("ROOM_FILTER", "("),
            ("ROOM_INDEX", "no"),
            ("BULK_INSERTS", "yes"),
            ("CIPHER_KEY", "c2hvcnQ="),
            ("WEBHOOK_KEYS", "app.key"),
            ("WEBHOOK_TOKEN", "arn:aws:s3:::bucket"),
            ("AWS_LAMBDA_LOG_LEVEL", "loud"),
        ])
        .unwrap_err();
        for name in [
            "TABLE_NAME is not set",
            "VERSIONS: expected one of both, latest, all",
            "REACTIONS: expected one of latest, snapshots, none",
            "REACTION_CLIENTS: expected one of ids, totals",
            "RETENTION_DAYS: expected a whole number of days from 1 to 36500",
            "ROOM_FILTER: not a regular expression",
            "ROOM_INDEX: expected one of on, off",
            "BULK_INSERTS: expected one of on, off",
            "CIPHER_KEY: 5 bytes once decoded",
            "WEBHOOK_KEYS: expected Ably API keys, APPID.KEYID:SECRET",
            "WEBHOOK_TOKEN: an ARN, but neither of an SSM parameter nor",
            "AWS_LAMBDA_LOG_LEVEL: expected TRACE",
        ] {
            assert!(mistakes.iter().any(|m| m.starts_with(name)), "{name} in {mistakes:?}");
        }
        assert_eq!(mistakes.len(), 12);
    }

    #[test]
    fn a_secret_is_never_printed() {
        let key = "AAECAwQFBgcICQoLDA0ODw==";
        let (keys, token) = ("app.key:api-secret", "a-secret-of-16-letters");
        let settings = [("CIPHER_KEY", key), ("WEBHOOK_KEYS", keys), ("WEBHOOK_TOKEN", token)];
        let config = read(&[&[("TABLE_NAME", "t")], &settings[..]].concat()).unwrap();
        let printed = format!("{config:?}");
        assert!(![key, "api-secret", token].iter().any(|secret| printed.contains(secret)));
        let keys = WebhookKeys::parse(keys).unwrap();
        let tokens = WebhookTokens::parse(token).unwrap();
        assert_eq!(format!("{keys:?} {tokens:?}"), "[\"app.…\"] WebhookTokens(1)");
    }

    #[test]
    fn a_secret_may_be_a_reference() {
        let parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/keys";
        let secret = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:token-AbCdEf";
        let settings = [("WEBHOOK_KEYS", parameter), ("WEBHOOK_TOKEN", secret)];
        let config = read(&[&[("TABLE_NAME", "t")], &settings[..]].concat()).unwrap();
        assert_eq!(config.webhook_keys, Some(SecretSource::Parameter(parameter.into())));
        assert_eq!(config.webhook_token, Some(SecretSource::Secret(secret.into())));
    }
}
