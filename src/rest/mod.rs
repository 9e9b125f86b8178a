//! A small client of Ably's REST APIs (Chat v4 and Pub/Sub): reads, page by page, at a pace that
//! leaves the account's API rate to others. The only HTTP client of Ably. Its
//! errors hold neither key nor query.
//!
//! A request is tried again for minutes while that may help. Whoever has less time drops its
//! future, at any point: nothing is begun that would have to be ended.

mod budget;
mod error;
mod hosts;
mod key;
mod link;
mod query;
mod request;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::value::RawValue;
use tokio::time::{Interval, MissedTickBehavior};

use crate::ably::channel_of;
use crate::chat::{RoomName, Serial};
use crate::mistake::Mistake;
use budget::{Budget, Held};
pub use error::RestError;
pub(crate) use hosts::Hosts;
pub use hosts::base_url;
pub use key::ApiKey;
pub(crate) use link::next as next_query;
pub use query::{PAGE_LIMIT, history_query};

/// Requests for the ids of channels, from the first page on.
const LISTINGS: usize = 5;
/// Ably: "the enumeration's sequence is invalid, start again" (Ably error registry).
const SEQUENCE_INVALID: u32 = 40_011;
/// All but RFC 3986's unreserved characters (Chat spec CHA-RST6).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How long what may take.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// TO3l3.
    connect: Duration,
    /// Without a byte (TO3l4, which limits the whole of a request). What flows, may flow on.
    idle: Duration,
    /// However it flows: then a smaller page does better.
    whole: Duration,
    /// The first pause before a request is tried again, and the longest.
    pauses: (Duration, Duration),
}

impl Times {
    const USUAL: Self = Self {
        connect: Duration::from_secs(4),
        idle: Duration::from_secs(10),
        whole: Duration::from_secs(120),
        pauses: (Duration::from_millis(500), Duration::from_secs(30)),
    };
}

/// One page of an answer.
#[derive(Debug)]
pub struct HistoryPage {
    /// What is on it.
    pub items: Vec<Box<RawValue>>,
    /// The query of the next page; `None` at the end, which a short or empty page is not.
    pub next: Option<String>,
    /// When the page was asked for: ms since the epoch.
    pub asked_at: i64,
    /// Which API's items they are.
    pub form: Form,
    /// The memory that they take, until the page is dropped.
    #[expect(dead_code, reason = "it is held, and not looked at")]
    held: Held,
}

/// The form of messages, by the API that serves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The Chat API's.
    Chat,
    /// The Pub/Sub API's.
    PubSub,
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
    times: Times,
    pace: Option<tokio::sync::Mutex<Interval>>,
    /// Memory for pages of history, which walks hold while they ask about their messages.
    budget: Budget,
    /// Memory for everything else: nobody who holds it waits for any.
    budget_of_details: Budget,
    /// Whether the Chat API was found to serve no versions.
    lacks_versions: AtomicBool,
    /// Requests that were answered, and items in the answers: what Ably bills.
    requests: AtomicU64,
    items: AtomicU64,
}

impl AblyRest {
    /// A client that makes at most `pace` requests a second (`None`: as many as it can). `url`
    /// replaces Ably's own hosts, fallbacks included (features spec REC2).
    ///
    /// # Errors
    /// When this machine's root certificates cannot be read.
    pub fn new(key: &ApiKey, url: Option<&str>, pace: Option<f64>) -> Result<Self, Mistake> {
        Self::with(key, url, pace, Times::USUAL)
    }

    fn with(
        key: &ApiKey,
        url: Option<&str>,
        pace: Option<f64>,
        times: Times,
    ) -> Result<Self, Mistake> {
        // Whoever installed one first has chosen for the process.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, key.header.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert("x-ably-version", HeaderValue::from_static("4"));
        let agent = concat!("ably-chat-exporter/", env!("CARGO_PKG_VERSION"));
        headers.insert("ably-agent", HeaderValue::from_static(agent));
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(times.connect)
            .read_timeout(times.idle)
            .timeout(times.whole)
            // A redirect would take the key along.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Mistake(error.to_string()))?;
        let pace = pace.map(|pace| {
            let mut interval = tokio::time::interval(Duration::from_secs_f64(1.0 / pace));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tokio::sync::Mutex::new(interval)
        });
        Ok(Self {
            client,
            app_id: key.app_id().to_owned(),
            hosts: Hosts::new(url),
            times,
            pace,
            budget: Budget::new(),
            budget_of_details: Budget::new(),
            lacks_versions: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            items: AtomicU64::new(0),
        })
    }

    /// The app whose rooms it reads: that of its key.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// How many requests Ably has answered, and how many messages and annotations were in the
    /// answers, each of which Ably counts as a message.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.items.load(Ordering::Relaxed))
    }

    /// A page of a room's history, oldest first: each message in its latest version. `query` is
    /// from [`history_query`] or an earlier page. A room that the Chat API's URLs cannot name is
    /// read through its channel's, which serves the same messages (Ably docs, "Updates, deletes and
    /// appends").
    ///
    /// # Errors
    /// When Ably does not give it.
    pub async fn history(&self, room: &RoomName, query: &str) -> Result<HistoryPage, RestError> {
        match room_path(room) {
            Some(path) => self.page(&format!("{path}/messages"), query, &self.budget).await,
            None => {
                let path = format!("{}/messages", channel_path(room));
                let page = self.page(&path, query, &self.budget).await?;
                Ok(HistoryPage { form: Form::PubSub, ..page })
            }
        }
    }

    /// Every version of a message, oldest first. The Chat API's path is in no document of Ably's
    /// but in chat-js 1.4; where it is not served, its Pub/Sub twin is asked (features spec RSL14).
    ///
    /// # Errors
    /// When Ably gives neither.
    pub async fn versions(&self, room: &RoomName, serial: &Serial) -> Result<Versions, RestError> {
        let path = format!("messages/{}/versions", segment(serial.as_str()));
        let room_path = room_path(room);
        let is_named = room_path.is_some();
        if let Some(room_path) = room_path
            && !self.lacks_versions.load(Ordering::Relaxed)
        {
            match self.all(&format!("{room_path}/{path}"), &all_of_it()).await {
                Ok(items) => return Ok(Versions::Chat(items)),
                Err(RestError { status: Some(401 | 403 | 404 | 405), .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let items = self.all(&format!("{}/{path}", channel_path(room)), &all_of_it()).await?;
        if is_named {
            self.lacks_versions.store(true, Ordering::Relaxed);
        }
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
        let path = format!("{}/messages/{serial}/annotations", channel_path(room));
        self.all(&path, &all_of_it()).await
    }

    /// The ids of active channels. Rooms nobody is in are not among them.
    ///
    /// # Errors
    /// When Ably does not list them: without the capability `channel-metadata` on `*`, for one.
    pub async fn channels(&self) -> Result<Vec<Box<RawValue>>, RestError> {
        let mut listings = 1;
        loop {
            let listed = self.all("/channels", &format!("limit={PAGE_LIMIT}&by=id")).await;
            match listed {
                Err(error) if error.code == Some(SEQUENCE_INVALID) && listings < LISTINGS => {
                    tracing::warn!(reason = %error, "channels will be listed from the start");
                    listings += 1;
                    tokio::time::sleep(self.times.pauses.0).await;
                }
                listed => return listed,
            }
        }
    }

    /// What a metachannel, `[meta]log` for example, has said from `start` until `end`, in ms since
    /// the epoch, oldest first.
    ///
    /// # Errors
    /// When Ably does not give it.
    pub async fn meta(
        &self,
        channel: &str,
        (start, end): (i64, i64),
    ) -> Result<Vec<Box<RawValue>>, RestError> {
        let path = format!("/channels/{}/messages", segment(channel));
        self.all(&path, &history_query(start, end)).await
    }
}

/// The query of what is wanted as a whole.
fn all_of_it() -> String {
    format!("limit={PAGE_LIMIT}")
}

/// A segment of a path, encoded.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The room's path in the Chat API. `None` for `.` and `..`: such a segment is taken for a step in
/// the path, encoded or not (WHATWG URL). A channel's name is longer, and an ordinary segment.
pub(crate) fn room_path(room: &RoomName) -> Option<String> {
    let is_segment = !matches!(room.0.as_str(), "." | "..");
    is_segment.then(|| format!("/chat/v4/rooms/{}", segment(&room.0)))
}

fn channel_path(room: &RoomName) -> String {
    format!("/channels/{}", segment(&channel_of(room)))
}
