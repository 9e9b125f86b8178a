//! Settings of the read API: those of the function, and who may read from where.

use crate::aws::secret::SecretSource;
use crate::config::exporter::{Config, Switch};
use crate::config::reader::{ConfigError, Reader, environment, secret};
use crate::history::Source;
use crate::history::auth::HistoryKeys;
use crate::history::publish::{HookAddress, Rules};
use crate::mistake::Mistake;
use crate::rest::base_url;

/// Settings of the history function, and of `ably-chat-archive serve`.
#[derive(Clone, Debug)]
pub struct HistoryConfig {
    /// Which table, and how it is written.
    pub config: Config,
    /// `HISTORY_KEYS`: the API keys that open the archive, or the ARN of where they are kept.
    pub keys: Option<SecretSource>,
    /// `HISTORY_SOURCE`: where messages are read from.
    pub source: Source,
    /// `HISTORY_ASK_ABLY`: whether Ably is asked about tokens that only Ably can read.
    pub asks_ably: bool,
    /// `ABLY_REST_URL`: where Ably's API is, if it is not where Ably's own is.
    pub url: Option<String>,
    /// `PUBLISH`: whether messages are published through this program.
    pub publishes: bool,
    /// `PUBLISH_RULES`: what messages must keep; read already if it is a file.
    pub publish_rules: Option<SecretSource>,
    /// `PUBLISH_HOOK`: who is asked before a message is published.
    pub publish_hook: Option<HookAddress>,
    /// `RECONCILE_QUEUE_URL`: where rooms go of which the table lacks something.
    pub queue_url: Option<String>,
}

impl HistoryConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// When a setting is missing or wrong; the error names all of them.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(environment)
    }

    /// Reads settings by name.
    ///
    /// # Errors
    /// As [`HistoryConfig::from_env`].
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, mistakes: Vec::new() };
        if reader.text("HISTORY_KEYS").is_none() {
            reader.mistakes.push("HISTORY_KEYS is not set".into());
        }
        let is_on = |switch: Option<Switch>| switch == Some(Switch::On);
        let config = Self {
            config: Config::read_by(&mut reader),
            keys: reader.parsed("HISTORY_KEYS", |text| secret(text, HistoryKeys::parse)),
            source: reader.choice("HISTORY_SOURCE"),
            asks_ably: is_on(reader.parsed("HISTORY_ASK_ABLY", str::parse)),
            url: reader.parsed("ABLY_REST_URL", base_url),
            publishes: is_on(reader.parsed("PUBLISH", str::parse)),
            publish_rules: reader.parsed("PUBLISH_RULES", rules),
            publish_hook: reader.parsed("PUBLISH_HOOK", HookAddress::parse),
            queue_url: reader.text("RECONCILE_QUEUE_URL"),
        };
        if config.publishes && config.config.ably_app_id.is_none() {
            reader.mistakes.push("PUBLISH needs ABLY_APP_ID".into());
        }
        if let Err(reason) = config.check_app() {
            reader.mistakes.push(format!("HISTORY_KEYS: {reason}"));
        }
        reader.finish(config)
    }

    /// Checks keys that are given here; what is kept elsewhere is checked request by request.
    fn check_app(&self) -> Result<(), Mistake> {
        match &self.keys {
            Some(SecretSource::Text(text)) => {
                HistoryKeys::parse(text)?.check_app(self.config.ably_app_id.as_deref())
            }
            _ => Ok(()),
        }
    }
}

/// Rules, or where they are kept: JSON, an ARN, or the path of a file, which is read here.
fn rules(text: &str) -> Result<SecretSource, Mistake> {
    match text.trim_start().starts_with('{') || text.starts_with("arn:") {
        true => secret(text, Rules::parse),
        false => {
            let file = std::fs::read_to_string(text);
            let file = file.map_err(|error| format!("no JSON object, ARN or file: {error}"))?;
            Rules::parse(&file).map(|_| SecretSource::Text(file))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<HistoryConfig, ConfigError> {
        HistoryConfig::read(|name| {
            settings.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn a_table_and_keys_are_enough() {
        let config = read(&[("TABLE_NAME", "t"), ("HISTORY_KEYS", "app.key:s3cret")]).unwrap();
        assert_eq!((config.source, config.asks_ably), (Source::Table, false));
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let ConfigError(mistakes) = read(&[
            ("HISTORY_SOURCE", "ably"),
            ("HISTORY_ASK_ABLY", "yes"),
            ("ABLY_REST_URL", "http://ably.example"),
            ("PUBLISH", "on"),
            ("PUBLISH_RULES", "{\"maxLength\":\"long\"}"),
            ("PUBLISH_HOOK", "ftp://x.example"),
        ])
        .unwrap_err();
        for start in [
            "TABLE_NAME is not set",
            "HISTORY_KEYS is not set",
            "HISTORY_SOURCE: expected one of table, merged",
            "HISTORY_ASK_ABLY: expected one of on, off",
            "ABLY_REST_URL: the key would travel in the clear",
            "PUBLISH needs ABLY_APP_ID",
            "PUBLISH_RULES: maxLength",
            "PUBLISH_HOOK: expected a Lambda function's ARN or an https URL",
        ] {
            assert!(mistakes.iter().any(|it| it.starts_with(start)), "{start} in {mistakes:?}");
        }
        assert_eq!(mistakes.len(), 8);
    }

    #[test]
    fn keys_are_of_the_app_whose_rooms_are_here() {
        let settings =
            [("TABLE_NAME", "t"), ("ABLY_APP_ID", "prod"), ("HISTORY_KEYS", "test.key:s3cret")];
        let ConfigError(mistakes) = read(&settings).unwrap_err();
        let expected = "HISTORY_KEYS: a key of app \"test\", but ABLY_APP_ID is \"prod\"";
        assert_eq!(mistakes, [expected]);
    }
}
