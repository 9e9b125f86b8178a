//! A small client of Ably's REST APIs (Chat v4 and Pub/Sub): reads, page by page, at a pace that
//! leaves the account's API rate to others. The only HTTP client of Ably. Its
//! errors hold neither key nor query.

mod error;
mod link;

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_smithy_types::date_time::{DateTime, Format};
use backon::{BackoffBuilder, ExponentialBuilder};
use base64::Engine;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LINK};
use serde_json::value::RawValue;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::ably::{BASE64, channel_of};
use crate::chat::{RoomName, Serial};
use crate::time::now;
pub use error::RestError;

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
/// TO3l4.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts at one request beyond the first, with pauses that grow from half a second to half a minute:
/// some two to four minutes of pauses in all.
const RETRIES: usize = 9;
/// Ably's most (Chat docs, "History").
pub const PAGE_LIMIT: u32 = 1_000;
/// How far this machine's clock may be off Ably's. Windows end a minute ago.
const MAX_SKEW: i64 = 30_000;
/// All but RFC 3986's unreserved characters (Chat spec CHA-RST6).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An API key, `APPID.KEYID:SECRET`.
#[derive(Clone)]
pub struct ApiKey {
    authorization: HeaderValue,
    app_id: String,
}

impl ApiKey {
    /// Reads a key.
    ///
    /// # Errors
    /// When the text has not the form of one; the error does not quote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_key = text.split_once(':').is_some_and(|(name, secret)| {
            name.split_once('.').is_some_and(|(app, key)| !app.is_empty() && !key.is_empty())
                && !secret.is_empty()
        });
        if !is_key {
            return Err("expected an Ably API key, APPID.KEYID:SECRET".into());
        }
        let value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(text)));
        let mut value = value.map_err(|_| "not an API key".to_owned())?;
        value.set_sensitive(true);
        let app_id = text.split('.').next().unwrap_or_default().to_owned();
        Ok(Self { authorization: value, app_id })
    }

    /// The app it is of.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.app_id
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// One page of an answer.
#[derive(Debug)]
pub struct Page {
    /// What is on it.
    pub items: Vec<Box<RawValue>>,
    /// The query of the next page; `None` at the end, which a short or empty page is not.
    pub next: Option<String>,
    /// When the page was asked for: ms since the epoch.
    pub asked_at: i64,
}

/// The versions of a message, in the form of the API that served them.
#[derive(Debug)]
pub enum Versions {
    /// As the Chat API has them.
    Chat(Vec<Box<RawValue>>),
    /// As the Pub/Sub API has them.
    PubSub(Vec<Box<RawValue>>),
}

/// The client.
#[derive(Debug)]
pub struct AblyRest {
    client: reqwest::Client,
    app_id: String,
    hosts: Hosts,
    pace: Option<tokio::sync::Mutex<Interval>>,
    /// Whether the Chat API was found to serve no versions.
    lacks_versions: AtomicBool,
    /// Requests that were answered, and items in the answers: what Ably bills.
    requests: AtomicU64,
    items: AtomicU64,
}

#[derive(Debug)]
struct Hosts {
    primary: String,
    fallbacks: &'static [&'static str],
    /// A fallback that worked, and when.
    working: Mutex<Option<(&'static str, Instant)>>,
}

impl Hosts {
    /// In which order to ask: what worked last or the primary, then some others at random.
    fn order(&self) -> Vec<&str> {
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

    fn worked(&self, host: &str) {
        let fallback = self.fallbacks.iter().find(|fallback| **fallback == host);
        let mut working = self.lock();
        match (fallback, *working) {
            (Some(host), Some((known, _))) if known == *host => {}
            (Some(host), _) => *working = Some((host, Instant::now())),
            (None, _) => *working = None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(&'static str, Instant)>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks where the REST API is said to be.
///
/// # Errors
/// When it is no URL, or one that would send the key in the clear (Ably's error 40103).
pub fn base_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => {}
        "http" if is_local => {}
        "http" => return Err("the key would travel in the clear; use https".into()),
        _ => return Err("expected an https URL".into()),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

impl AblyRest {
    /// A client that makes at most `pace` requests a second (`None`: as many as it can). `url` replaces
    /// Ably's own hosts, fallbacks included (features spec REC2).
    ///
    /// # Errors
    /// When this machine's root certificates cannot be read.
    pub fn new(key: &ApiKey, url: Option<&str>, pace: Option<f64>) -> Result<Self, String> {
        // Whoever installed one first has chosen for the process.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, key.authorization.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert("x-ably-version", HeaderValue::from_static("4"));
        let agent = concat!("ably-chat-exporter/", env!("CARGO_PKG_VERSION"));
        headers.insert("ably-agent", HeaderValue::from_static(agent));
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(REQUEST_TIMEOUT)
            // A redirect would take the key along.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        let hosts = Hosts {
            primary: url.unwrap_or(PRIMARY).to_owned(),
            fallbacks: if url.is_some() { &[] } else { &FALLBACKS },
            working: Mutex::new(None),
        };
        let pace = pace.map(|pace| {
            let mut interval = tokio::time::interval(Duration::from_secs_f64(1.0 / pace));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tokio::sync::Mutex::new(interval)
        });
        let (requests, items) = (AtomicU64::new(0), AtomicU64::new(0));
        let app_id = key.app_id.clone();
        Ok(Self {
            client,
            app_id,
            hosts,
            pace,
            lacks_versions: AtomicBool::new(false),
            requests,
            items,
        })
    }

    /// The app whose rooms it reads: that of the key.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// How many requests Ably has answered, and how many messages and annotations were in the answers,
    /// each of which Ably counts as a message.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.items.load(Ordering::Relaxed))
    }

    /// A page of a room's history, oldest first: each message in its latest version. `query` is from
    /// [`history_query`] or an earlier page.
    ///
    /// # Errors
    /// When Ably does not give it.
    pub async fn history(&self, room: &RoomName, query: &str) -> Result<Page, RestError> {
        self.page(&format!("{}/messages", room_path(room)?), query).await
    }

    /// Every version of a message, oldest first. The Chat API's path is in no document of Ably's but in
    /// chat-js 1.4; where it is not served, its Pub/Sub twin is asked (features spec RSL14).
    ///
    /// # Errors
    /// When Ably gives neither.
    pub async fn versions(&self, room: &RoomName, serial: &Serial) -> Result<Versions, RestError> {
        let serial = segment(serial.as_str());
        if !self.lacks_versions.load(Ordering::Relaxed) {
            let path = format!("{}/messages/{serial}/versions", room_path(room)?);
            match self.all(&path).await {
                Ok(items) => return Ok(Versions::Chat(items)),
                Err(RestError { status: Some(401 | 403 | 404 | 405), .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let items = self.all(&format!("{}/messages/{serial}/versions", channel_path(room))).await?;
        self.lacks_versions.store(true, Ordering::Relaxed);
        Ok(Versions::PubSub(items))
    }

    /// Every annotation of a message, earliest first.
    ///
    /// # Errors
    /// When Ably does not give them.
    pub async fn annotations(
        &self,
        room: &RoomName,
        serial: &Serial,
    ) -> Result<Vec<Box<RawValue>>, RestError> {
        let serial = segment(serial.as_str());
        self.all(&format!("{}/messages/{serial}/annotations", channel_path(room))).await
    }

    /// A page of the ids of active channels. Rooms nobody is in are not among them.
    ///
    /// # Errors
    /// When Ably does not give it; 42912 while another enumeration is going on.
    pub async fn channels(&self, query: &str) -> Result<Page, RestError> {
        self.page("/channels", query).await
    }

    /// A page of the history of a metachannel, `[meta]log` for example, oldest first.
    ///
    /// # Errors
    /// When Ably does not give it.
    pub async fn meta(&self, channel: &str, query: &str) -> Result<Page, RestError> {
        self.page(&format!("/channels/{}/messages", segment(channel)), query).await
    }

    async fn all(&self, path: &str) -> Result<Vec<Box<RawValue>>, RestError> {
        let mut page = self.page(path, &format!("limit={PAGE_LIMIT}")).await?;
        let mut items = std::mem::take(&mut page.items);
        let mut steps = 1;
        while let Some(query) = page.next {
            page = self.page(path, &query).await?;
            items.append(&mut page.items);
            steps += 1;
            if steps > 10_000 || page.next.as_ref() == Some(&query) {
                return Err(RestError::unreadable(path, 200, "pages without end".into()));
            }
        }
        Ok(items)
    }

    /// Asks until there is an answer, or no hope of one.
    async fn page(&self, path: &str, query: &str) -> Result<Page, RestError> {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(30))
            .with_max_times(RETRIES)
            .with_jitter();
        let mut pauses = pauses.build();
        loop {
            let error = match self.attempt(path, query).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if error.may_pass => {
                    tracing::warn!(reason = %error, ?pause, "Ably will be asked again");
                    let asked = error.retry_after.unwrap_or_default().min(Duration::from_secs(60));
                    tokio::time::sleep(pause.max(asked)).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Asks host after host. A rate limit is the account's, not a host's.
    async fn attempt(&self, path: &str, query: &str) -> Result<Page, RestError> {
        let mut last = RestError::default();
        for host in self.hosts.order() {
            if let Some(pace) = &self.pace {
                pace.lock().await.tick().await;
            }
            match self.ask(host, path, query).await {
                Ok(page) => {
                    self.hosts.worked(host);
                    return Ok(page);
                }
                Err(error) if error.may_pass && error.status != Some(429) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn ask(&self, host: &str, path: &str, query: &str) -> Result<Page, RestError> {
        let asked_at = now();
        let separator = if query.is_empty() { "" } else { "?" };
        let request = self.client.get(format!("{host}{path}{separator}{query}"));
        let response = request.send().await.map_err(|error| RestError::no_answer(path, &error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| RestError::no_answer(path, &error))?;
        let answered_at = now();
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        if !(200..=299).contains(&status) {
            return Err(RestError::refused(path, status, header, &body));
        }
        let items: Vec<Box<RawValue>> = serde_json::from_slice(&body).map_err(|_| {
            let kind = header(CONTENT_TYPE.as_str()).unwrap_or_else(|| "no content type".into());
            let kind: String = kind.chars().take(80).collect();
            RestError::unreadable(path, status, format!("expected a JSON array, found {kind}"))
        })?;
        check_clock(path, header(DATE.as_str()).as_deref(), asked_at, answered_at)?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.items.fetch_add(items.len() as u64, Ordering::Relaxed);
        let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        Ok(Page { items, next: link::next(links), asked_at })
    }
}

/// The query of the first page of what was created from `start` until `end`, in ms since the epoch. Both
/// names of the order: Ably's documents say `orderBy`, and its service reads `direction`.
#[must_use]
pub fn history_query(start: i64, end: i64) -> String {
    format!("start={start}&end={end}&limit={PAGE_LIMIT}&direction=forwards&orderBy=oldestFirst")
}

/// Windows, and which of two reaction summaries is newer, are decided by clocks. An answer's `Date` is
/// Ably's, to the second.
fn check_clock(
    path: &str,
    date: Option<&str>,
    asked_at: i64,
    answered_at: i64,
) -> Result<(), RestError> {
    let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let Some(date) = date.and_then(|date| date.to_millis().ok()) else { return Ok(()) };
    let skew = if date + 1_000 < asked_at {
        asked_at - date
    } else if date > answered_at {
        answered_at - date
    } else {
        0
    };
    if skew.abs() <= MAX_SKEW {
        return Ok(());
    }
    let (seconds, side) = (skew.abs() / 1_000, if skew > 0 { "ahead of" } else { "behind" });
    let message = format!("this machine's clock is {seconds} s {side} Ably's; set it right");
    Err(RestError::unreadable(path, 200, message))
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn room_path(room: &RoomName) -> Result<String, RestError> {
    // Such a path segment is taken for a step in the path, encoded or not (WHATWG URL).
    if matches!(room.0.as_str(), "." | "..") {
        let message = format!("a room called {:?} cannot be named in a URL", room.0);
        return Err(RestError { path: "/chat/v4/rooms".into(), message, ..RestError::default() });
    }
    Ok(format!("/chat/v4/rooms/{}", segment(&room.0)))
}

fn channel_path(room: &RoomName) -> String {
    format!("/channels/{}", segment(&channel_of(room)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_one_segment() {
        let path = |room: &str| room_path(&RoomName(room.into())).unwrap();
        assert_eq!(path("a/b?c#d%e f+é"), "/chat/v4/rooms/a%2Fb%3Fc%23d%25e%20f%2B%C3%A9");
        assert_eq!(channel_path(&RoomName("a:b".into())), "/channels/a%3Ab%3A%3A%24chat");
        for dots in [".", ".."] {
            let error = room_path(&RoomName(dots.into())).unwrap_err().to_string();
            assert!(error.contains("cannot be named in a URL"), "{error}");
        }
    }

    #[test]
    fn a_key_is_checked_and_never_shown() {
        let key = ApiKey::parse("app.key:s3cret\n").unwrap();
        assert!(!format!("{key:?} {:?}", key.authorization).contains("s3cret"));
        for bad in ["", "app.key", "app:secret", ".key:secret", "app.key:", "app.:s"] {
            assert!(
                ApiKey::parse(bad).unwrap_err().starts_with("expected an Ably API key"),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_key_travels_encrypted() {
        assert_eq!(base_url("https://x.example/").unwrap(), "https://x.example");
        assert!(base_url("http://127.0.0.1:1").is_ok());
        assert!(base_url("http://x.example").unwrap_err().contains("in the clear"));
        assert!(base_url("ftp://x.example").is_err() && base_url("x").is_err());
    }

    #[test]
    fn fallbacks_are_tried_and_remembered() {
        let working = Mutex::new(None);
        let hosts = Hosts { primary: PRIMARY.into(), fallbacks: &FALLBACKS, working };
        let order = hosts.order();
        assert_eq!((order.len(), order[0]), (1 + MAX_FALLBACKS, PRIMARY));
        hosts.worked(FALLBACKS[2]);
        let order = hosts.order();
        assert_eq!(order[0], FALLBACKS[2]);
        assert!(!order[1..].contains(&FALLBACKS[2]));
        hosts.worked(PRIMARY);
        assert_eq!(hosts.order()[0], PRIMARY);
    }

    #[test]
    fn a_clock_that_is_off_is_an_error() {
        let noon = 1_767_225_600_000;
        let check =
            |asked| check_clock("/x", Some("Thu, 01 Jan 2026 00:00:00 GMT"), asked, asked + 50);
        assert!(check(noon).is_ok() && check(noon + 999).is_ok());
        assert!(check(noon - 29_000).is_ok() && check(noon + 29_000).is_ok());
        assert!(check(noon + 90_000).unwrap_err().to_string().contains("90 s ahead of Ably's"));
        assert!(check(noon - 90_000).unwrap_err().to_string().contains("s behind Ably's"));
        assert!(check_clock("/x", None, 0, 0).is_ok());
    }
}
