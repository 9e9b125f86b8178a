//! Which of Ably's hosts is asked, and which next.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::mistake::Mistake;

/// Where Ably's REST API is (features spec REC1a).
const PRIMARY: &str = "https://main.realtime.ably.net";
/// Where it is when it is not there (REC2c1).
const FALLBACKS: [&str; 5] = [
    "https://main.a.fallback.ably-realtime.com",
    "https://main.b.fallback.ably-realtime.com",
    "https://main.c.fallback.ably-realtime.com",
    "https://main.d.fallback.ably-realtime.com",
    "https://main.e.fallback.ably-realtime.com",
];
/// Fallbacks tried for one attempt (TO3l5).
const MAX_FALLBACKS: usize = 3;
/// How long a fallback that worked is asked first (RSC15f).
const FALLBACK_AGE: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(crate) struct Hosts {
    primary: String,
    fallbacks: &'static [&'static str],
    /// A fallback that worked, and when.
    working: Mutex<Option<(&'static str, Instant)>>,
}

impl Hosts {
    /// Ably's own, or one that replaces them all (features spec REC2).
    pub(crate) fn new(url: Option<&str>) -> Self {
        let fallbacks: &[_] = if url.is_some() { &[] } else { &FALLBACKS };
        Self { primary: url.unwrap_or(PRIMARY).to_owned(), fallbacks, working: Mutex::new(None) }
    }

    /// In which order to ask: what worked last or the primary, then some others at random.
    pub(crate) fn order(&self) -> Vec<&str> {
        let working = *self.lock();
        let working =
            working.filter(|(_, since)| since.elapsed() < FALLBACK_AGE).map(|(host, _)| host);
        let first = working.unwrap_or(&self.primary);
        let mut others = self.fallbacks.to_vec();
        others.retain(|host| *host != first);
        fastrand::shuffle(&mut others);
        others.truncate(MAX_FALLBACKS);
        std::iter::once(first).chain(others).collect()
    }

    pub(crate) fn worked(&self, host: &str) {
        let fallback = self.fallbacks.iter().find(|fallback| **fallback == host);
        let mut working = self.lock();
        match (fallback, *working) {
            (Some(host), Some((known, _))) if known == *host => {}
            (Some(host), _) => *working = Some((host, Instant::now())),
            (None, _) => *working = None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(&'static str, Instant)>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks where the REST API is said to be.
///
/// # Errors
/// When it is no URL, or one that would send the key in the clear (Ably's error 40103).
pub fn base_url(text: &str) -> Result<String, Mistake> {
    let url = reqwest::Url::parse(text).map_err(|error| Mistake(format!("not a URL: {error}")))?;
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => {}
        "http" if is_local => {}
        "http" => return Err("the key would travel in the clear; use https".into()),
        _ => return Err("expected an https URL".into()),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_travels_encrypted() {
        assert_eq!(base_url("https://x.example/").unwrap(), "https://x.example");
        assert!(base_url("http://127.0.0.1:1").is_ok());
        assert!(base_url("http://x.example").unwrap_err().0.contains("in the clear"));
        assert!(base_url("ftp://x.example").is_err() && base_url("x").is_err());
    }

    #[test]
    fn fallbacks_are_tried_and_remembered() {
        let hosts = Hosts::new(None);
        let order = hosts.order();
        assert_eq!((order.len(), order[0]), (1 + MAX_FALLBACKS, PRIMARY));
        hosts.worked(FALLBACKS[2]);
        let order = hosts.order();
        assert_eq!(order[0], FALLBACKS[2]);
        assert!(!order[1..].contains(&FALLBACKS[2]));
        hosts.worked(PRIMARY);
        assert_eq!(hosts.order()[0], PRIMARY);
    }
}
