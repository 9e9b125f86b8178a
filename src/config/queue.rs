//! Settings of the queue consumer: those of the function, but for webhooks, and its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Config, ConfigError, Reader, environment};
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
                "FAILURE_QUEUE_URL is not set: what is wrong for good in a queue of dead letters \
                 would be lost"
                    .into(),
            );
        }
        let address = reader.address();
        let prefetch = reader.parsed("PREFETCH", |text| match text.parse() {
            Ok(prefetch @ 1..) => Ok(prefetch),
            _ => Err(format!("expected a whole number from 1 to {}", u16::MAX)),
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
            text.parse().map_err(|_| "expected an address and a port, 0.0.0.0:8080".to_owned())
        });
        address.unwrap_or(HTTP_ADDRESS)
    }

    fn address(&mut self) -> Option<Address> {
        if self.text("ABLY_QUEUE_URL").is_some() {
            return self.parsed("ABLY_QUEUE_URL", Address::from_url);
        }
        match (self.text("ABLY_QUEUE_HOST"), self.text("ABLY_API_KEY")) {
            (Some(host), Some(key)) => Address::of_host(&host, &key)
                .map_err(|reason| self.mistakes.push(format!("ABLY_API_KEY: {reason}")))
                .ok(),
            _ => {
                let reason = "neither ABLY_QUEUE_URL nor ABLY_QUEUE_HOST and ABLY_API_KEY are set";
                self.mistakes.push(reason.into());
                None
            }
        }
    }
}
