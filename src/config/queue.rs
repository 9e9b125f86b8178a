//! Settings of the queue consumer: those of the function, but for webhooks, and its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::exporter::Config;
use crate::config::reader::{ConfigError, Reader, environment};
use crate::mistake::Mistake;
use crate::queue::{Address, QueueName};

/// Everything the queue consumer can be told: what the function can, but for webhooks, and its own.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// What is stored, and where.
    pub config: Config,
    /// `ABLY_QUEUE_URL`, or `ABLY_QUEUE_HOST` and `ABLY_API_KEY`: where the queues are.
    pub address: Address,
    /// `ABLY_QUEUE`: what they are called.
    pub queues: Vec<QueueName>,
    /// `PREFETCH`: messages of a queue in hand at once.
    pub prefetch: u16,
    /// `HTTP_ADDRESS`: where `/healthz` and `/metrics` are.
    pub http_address: SocketAddr,
}

/// Messages that the broker hands over before any is acknowledged.
const PREFETCH: u16 = 1_000;
/// Of this machine only.
const HTTP_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8_080);

impl QueueConfig {
    /// Reads the environment. `dead_letters` adds the queue of dead letters of every app.
    ///
    /// # Errors
    /// When a setting is missing or wrong; the error names all of them.
    pub fn from_env(dead_letters: bool) -> Result<Self, ConfigError> {
        Self::read(environment, dead_letters)
    }

    /// Where `/healthz` is, by the environment.
    ///
    /// # Errors
    /// When `HTTP_ADDRESS` is wrong.
    pub fn http_address() -> Result<SocketAddr, ConfigError> {
        let mut reader = Reader { lookup: environment, mistakes: Vec::new() };
        let address = reader.http_address();
        reader.finish(address)
    }

    /// Reads settings by name.
    ///
    /// # Errors
    /// As [`QueueConfig::from_env`].
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        dead_letters: bool,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, mistakes: Vec::new() };
        let config = Config::read_by(&mut reader);
        let mut queues = reader.required("ABLY_QUEUE", QueueName::list);
        if dead_letters {
            let more: Vec<_> = queues.iter().map(QueueName::dead_letters).collect();
            for queue in more {
                if !queues.contains(&queue) {
                    queues.push(queue);
                }
            }
        }
        if queues.iter().any(QueueName::is_dead_letters) && config.failure_queue_url.is_none() {
            reader.mistakes.push(
                "FAILURE_QUEUE_URL is not set: permanent failures in a queue of dead letters \
                 would be lost"
                    .into(),
            );
        }
        let address = reader.address();
        if let Some(app_id) = &config.ably_app_id {
            reader.same_app(app_id, address.as_ref(), &queues);
        }
        let prefetch = reader.parsed("PREFETCH", |text| match text.parse() {
            Ok(prefetch @ 1..) => Ok(prefetch),
            _ => Err(Mistake(format!("expected a whole number from 1 to {}", u16::MAX))),
        });
        let prefetch = prefetch.unwrap_or(PREFETCH);
        let http_address = reader.http_address();
        match address {
            Some(address) => {
                reader.finish(Self { config, address, queues, prefetch, http_address })
            }
            None => Err(ConfigError(reader.mistakes)),
        }
    }
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn http_address(&mut self) -> SocketAddr {
        let address = self.parsed("HTTP_ADDRESS", |text| {
            text.parse().map_err(|_| "expected an address and a port, 0.0.0.0:8080".into())
        });
        address.unwrap_or(HTTP_ADDRESS)
    }

    fn address(&mut self) -> Option<Address> {
        if self.text("ABLY_QUEUE_URL").is_some() {
            return self.parsed("ABLY_QUEUE_URL", Address::from_url);
        }
        let Some((_, key)) = self.text("ABLY_QUEUE_HOST").zip(self.text("ABLY_API_KEY")) else {
            let reason = "neither ABLY_QUEUE_URL nor ABLY_QUEUE_HOST and ABLY_API_KEY are set";
            self.mistakes.push(reason.into());
            return None;
        };
        let host = self.parsed("ABLY_QUEUE_HOST", Address::of_host)?;
        host.with_key(&key)
            .map_err(|reason| self.mistakes.push(format!("ABLY_API_KEY: {reason}")))
            .ok()
    }

    /// Key and queues have to be of the app whose events are stored: all others are refused, each
    /// as permanently wrong.
    fn same_app(&mut self, app_id: &str, address: Option<&Address>, queues: &[QueueName]) {
        let mut of = |what: String, found: &str| {
            if found != app_id {
                self.mistakes
                    .push(format!("ABLY_APP_ID is {app_id:?}, and {what} is of the app {found:?}"));
            }
        };
        if let Some(found) = address.and_then(Address::app_id) {
            of("the key in ABLY_API_KEY or ABLY_QUEUE_URL".into(), found);
        }
        for queue in queues {
            of(format!("the queue {:?} in ABLY_QUEUE", queue.as_str()), queue.app_id());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn mistakes(pairs: &[(&str, &str)]) -> Vec<String> {
        let always = [("TABLE_NAME", "t"), ("ABLY_QUEUE", "app:chat")];
        let map: HashMap<_, _> = always.iter().chain(pairs).copied().collect();
        let read = QueueConfig::read(|name| map.get(name).map(ToString::to_string), false);
        read.err().map_or_else(Vec::new, |ConfigError(mistakes)| mistakes)
    }

    #[test]
    fn regression_a_wrong_host_is_not_blamed_on_the_key() {
        let key = ("ABLY_API_KEY", "app.key:secret");
        assert_eq!(mistakes(&[("ABLY_QUEUE_HOST", " amqps://host:5671/shared/ "), key]), [""; 0]);
        let wrong = mistakes(&[("ABLY_QUEUE_HOST", "host/vhost"), key]);
        assert!(wrong.len() == 1 && wrong[0].starts_with("ABLY_QUEUE_HOST: "), "{wrong:?}");
    }

    #[test]
    fn regression_a_key_or_queue_of_another_app_is_a_wrong_setting() {
        let staging = ("ABLY_APP_ID", "staging");
        let url = ("ABLY_QUEUE_URL", "amqps://app.key:secret@host:5671/shared");
        assert_eq!(mistakes(&[url, ("ABLY_APP_ID", "app")]), [""; 0]);
        assert_eq!(
            mistakes(&[url, staging]),
            [
                "ABLY_APP_ID is \"staging\", and the key in ABLY_API_KEY or ABLY_QUEUE_URL is of \
                 the app \"app\"",
                "ABLY_APP_ID is \"staging\", and the queue \"app:chat\" in ABLY_QUEUE is of the \
                 app \"app\"",
            ]
        );
        let key = [("ABLY_QUEUE_HOST", "host"), ("ABLY_API_KEY", "app.key:secret"), staging];
        assert_eq!(mistakes(&key).len(), 2);
        // A broker of one's own knows no apps.
        let own = ("ABLY_QUEUE_URL", "amqp://guest:guest@localhost:5672/%2f");
        assert_eq!(mistakes(&[own, ("ABLY_APP_ID", "app")]), [""; 0]);
    }
}
