//! Where Ably's queues are, and what they are called (Ably docs "Ably Queues").

use std::fmt;
use std::net::IpAddr;

use lapin::uri::{AMQPScheme, AMQPUri};

use crate::mistake::Mistake;

/// Ably's virtual host.
const VIRTUAL_HOST: &str = "shared";
/// The queue of an app's dead letters.
const DEAD_LETTERS: &str = "deadletter";
/// Seconds between heartbeats: a connection that died without a word is found out in twice that.
const HEARTBEAT: u16 = 15;

/// A broker's address with credentials. `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(AMQPUri);

impl Address {
    /// Reads a URL such as `amqps://APPID.KEYID:SECRET@us-east-1-a-queue.ably.io:5671/shared`.
    ///
    /// # Errors
    /// When it is no such URL, or would send the key in the clear; the error does not quote it.
    pub fn from_url(url: &str) -> Result<Self, Mistake> {
        const FORM: &str = "expected amqps://APPID.KEYID:SECRET@HOST:5671/shared";
        let url = url.trim();
        let uri: AMQPUri = url.parse().map_err(|_| FORM)?;
        // The parser puts RabbitMQ's defaults where something is missing.
        let given = url.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
        if given
            .is_none_or(|(key, rest)| key.is_empty() || rest.is_empty() || rest.starts_with('/'))
        {
            return Err(FORM.into());
        }
        Self::private(uri)
    }

    /// Reads a host of Ably's, also as the *AMQP URI* that Ably's dashboard shows:
    /// `amqps://us-east-1-a-queue.ably.io:5671/shared`. The key is still to come:
    /// [`Address::with_key`].
    ///
    /// # Errors
    /// When it is no host, or holds a key; the error does not quote it.
    pub fn of_host(host: &str) -> Result<Self, Mistake> {
        const FORM: &str = "expected a host such as us-east-1-a-queue.ably.io";
        let host = host.trim();
        if host.contains('@') {
            return Err("holds a user name; give the whole URL as ABLY_QUEUE_URL instead".into());
        }
        let (scheme, rest) = host.split_once("://").unwrap_or(("amqps", host));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        match path.trim_end_matches('/') {
            "" | VIRTUAL_HOST => {}
            _ => {
                return Err(Mistake(format!(
                    "its virtual host is not Ably's, {VIRTUAL_HOST:?}; give the whole URL of \
                     another broker as ABLY_QUEUE_URL"
                )));
            }
        }
        let is_host =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
        if authority.is_empty() || !authority.chars().all(is_host) {
            return Err(FORM.into());
        }
        let url = format!("{scheme}://{authority}/{VIRTUAL_HOST}");
        Self::private(url.parse().map_err(|_| FORM)?)
    }

    /// This address with an API key, `APPID.KEYID:SECRET`.
    ///
    /// # Errors
    /// When the key has another form; the error does not quote it.
    pub fn with_key(mut self, api_key: &str) -> Result<Self, Mistake> {
        let (name, secret) = api_key
            .trim()
            .split_once(':')
            .filter(|(name, secret)| name.contains('.') && !secret.is_empty())
            .ok_or("expected an Ably API key, APPID.KEYID:SECRET")?;
        self.0.authority.userinfo.username = name.into();
        self.0.authority.userinfo.password = secret.into();
        Ok(self)
    }

    /// The address, if it does not send the key in the clear.
    fn private(mut uri: AMQPUri) -> Result<Self, Mistake> {
        let host = &uri.authority.host;
        let is_loopback = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if uri.scheme == AMQPScheme::AMQP && !is_loopback {
            return Err("amqp:// would send the key in the clear; use amqps://".into());
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self(uri))
    }

    /// The app of the key, the part before the first dot; `None` if the user name is no key's.
    #[must_use]
    pub fn app_id(&self) -> Option<&str> {
        let (app_id, _) = self.0.authority.userinfo.username.split_once('.')?;
        Some(app_id)
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }

    pub(super) fn virtual_host(&self) -> &str {
        &self.0.vhost
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authority, vhost) = (&self.0.authority, &self.0.vhost);
        write!(f, "{}://{}:{}/{vhost}", self.0.scheme, authority.host, authority.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A queue's name on the broker: `APPID:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueName(String);

impl QueueName {
    /// Reads names separated by commas.
    ///
    /// # Errors
    /// When there is none, or one is not `APPID:name`.
    pub fn list(text: &str) -> Result<Vec<Self>, Mistake> {
        let mut names = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name.split_once(':') {
                Some((app_id, rest)) if !app_id.is_empty() && !rest.is_empty() => {
                    let name = Self(name.into());
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                _ => {
                    return Err(Mistake(format!(
                        "{name:?} is not a queue's full name, APPID:name"
                    )));
                }
            }
        }
        if names.is_empty() {
            Err("expected a queue's full name, APPID:name".into())
        } else {
            Ok(names)
        }
    }

    /// The queue of the dead letters of this queue's app.
    #[must_use]
    pub fn dead_letters(&self) -> Self {
        Self(format!("{}:{DEAD_LETTERS}", self.app_id()))
    }

    /// The app that it is of.
    #[must_use]
    pub fn app_id(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// Whether it is a queue of dead letters: what is rejected there is gone.
    #[must_use]
    pub fn is_dead_letters(&self) -> bool {
        *self == self.dead_letters()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_or_a_host_and_a_key() {
        let url = "amqps://app.key:se%2Fcret@us-east-1-a-queue.ably.io:5671/shared";
        let address = Address::from_url(url).unwrap();
        let host = Address::of_host("us-east-1-a-queue.ably.io").unwrap();
        let host = host.with_key("app.key:se/cret").unwrap();
        assert_eq!(address, host);
        assert_eq!(format!("{address:?}"), "amqps://us-east-1-a-queue.ably.io:5671/shared");
        assert_eq!(address.app_id(), Some("app"));
        assert!(Address::from_url("amqp://a.b:c@127.0.0.1:5672/%2f").is_ok());
        assert!(Address::from_url("amqp://a.b:c@localhost:5672").is_ok());
        assert_eq!(Address::from_url("amqp://guest:c@localhost:5672").unwrap().app_id(), None);
    }

    #[test]
    fn regression_a_pasted_host_is_taken_apart() {
        for host in [
            "queue.ably.io",
            " queue.ably.io\n",
            "queue.ably.io/",
            "queue.ably.io:5671",
            "queue.ably.io/shared",
            "queue.ably.io:5671/shared/",
            "amqps://queue.ably.io",
            "amqps://queue.ably.io:5671/shared",
        ] {
            let address = Address::of_host(host).unwrap_or_else(|error| panic!("{host}: {error}"));
            assert_eq!(address.to_string(), "amqps://queue.ably.io:5671/shared", "{host}");
        }
        assert_eq!(Address::of_host("h:5679").unwrap().to_string(), "amqps://h:5679/shared");
    }

    #[test]
    fn a_wrong_address_is_named_and_not_quoted() {
        for url in ["", "secret", "https://secret@host", "amqps://", "amqps:///shared"] {
            let Mistake(error) = Address::from_url(url).unwrap_err();
            assert!(error.starts_with("expected amqps://"), "{url}: {error}");
        }
        let Mistake(error) =
            Address::from_url("amqp://app.key:secret@queue.ably.io/shared").unwrap_err();
        assert_eq!(error, "amqp:// would send the key in the clear; use amqps://");
        for host in ["", "https://host", "a host", "host:port", "host?x", "amqps://", "?"] {
            let Mistake(error) = Address::of_host(host).unwrap_err();
            assert!(error.starts_with("expected a host such as"), "{host}: {error}");
        }
        for (host, reason) in [
            ("amqps://app.key:secret@host", "holds a user name"),
            ("host/other", "its virtual host is not Ably's"),
            ("amqp://host", "amqp:// would send the key in the clear"),
        ] {
            let Mistake(error) = Address::of_host(host).unwrap_err();
            assert!(error.starts_with(reason) && !error.contains("secret"), "{host}: {error}");
        }
        for key in ["secret", "secret:", "app:secret"] {
            let Mistake(error) = Address::of_host("host").unwrap().with_key(key).unwrap_err();
            assert_eq!(error, "expected an Ably API key, APPID.KEYID:SECRET");
        }
    }

    #[test]
    fn queues_have_their_apps_name() {
        let names = QueueName::list("app:one, app:two,app:one").unwrap();
        let names: Vec<_> = names.iter().map(QueueName::as_str).collect();
        assert_eq!(names, ["app:one", "app:two"]);
        let queue = &QueueName::list("app:one").unwrap()[0];
        assert_eq!(queue.dead_letters().as_str(), "app:deadletter");
        assert!(queue.dead_letters().is_dead_letters() && !queue.is_dead_letters());
        for wrong in ["", " , ", "one", "app:", ":one"] {
            assert!(QueueName::list(wrong).is_err(), "{wrong}");
        }
    }
}
