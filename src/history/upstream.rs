//! Ably's REST API, asked with the caller's own credentials: this program has none. What Ably
//! answers is handed on, or read.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use tokio::time::timeout;

use crate::mistake::Mistake;
use crate::rest::Hosts;

/// Less than half of what the most impatient who asks allows, so that another host has its turn.
const CONNECT: Duration = Duration::from_millis(1_400);
/// The most that is read of an answer. Ably's largest page has a thousand messages of 64 KiB, and
/// none that large is asked for here.
const MOST_BYTES: usize = 16 * 1_024 * 1_024;
/// What is handed on of a request: who asks, by which version of the protocol, and the body's form.
const HANDED_ON: [&str; 5] =
    ["authorization", "x-ably-clientid", "x-ably-version", "ably-agent", "content-type"];

/// Ably, for whoever asks.
#[derive(Debug)]
pub struct Upstream {
    client: reqwest::Client,
    hosts: Hosts,
}

/// What Ably answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Ably did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreached {
    /// Nothing was sent: no host took the connection.
    #[error("no host of Ably's could be reached: {0}")]
    NotSent(String),
    /// It was sent, and what came of it is unknown.
    #[error("Ably did not answer: {0}")]
    Unknown(String),
    /// It has more bytes than are read here.
    #[error("Ably's answer is too large")]
    TooLarge,
}

impl Upstream {
    /// A client of Ably's own hosts, or of `url`, as `ABLY_REST_URL` has it.
    ///
    /// # Errors
    /// When this machine's root certificates cannot be read.
    pub fn new(url: Option<&str>) -> Result<Self, Mistake> {
        // Whoever installed one first has chosen for the process.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A redirect would take the caller's credentials along.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Mistake(error.to_string()))?;
        Ok(Self { client, hosts: Hosts::new(url) })
    }

    /// Sends a request with the caller's headers, and reads the answer, which is JSON. Another host
    /// is tried only where nothing was sent.
    pub(crate) async fn send(
        &self,
        method: &Method,
        path_and_query: &str,
        caller: &HeaderMap,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, Unreached> {
        let asked = timeout(patience, self.ask_hosts(method, path_and_query, caller, body)).await;
        asked.unwrap_or_else(|_| Err(Unreached::Unknown(format!("nothing within {patience:?}"))))
    }

    async fn ask_hosts(
        &self,
        method: &Method,
        path_and_query: &str,
        caller: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Unreached> {
        let headers = handed_on(caller);
        let mut last = Unreached::NotSent("there is none".into());
        for host in self.hosts.order() {
            let request = self
                .client
                .request(method.clone(), format!("{host}{path_and_query}"))
                .headers(headers.clone())
                .body(body.clone());
            match request.send().await {
                Ok(response) => {
                    self.hosts.worked(host);
                    return read(response).await;
                }
                // Its words hold the URL, and with it what the caller asked.
                Err(error) if error.is_connect() => {
                    last = Unreached::NotSent(error.without_url().to_string());
                }
                Err(error) => return Err(Unreached::Unknown(error.without_url().to_string())),
            }
        }
        Err(last)
    }
}

fn handed_on(caller: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-ably-version", header::HeaderValue::from_static("4"));
    for name in HANDED_ON.map(HeaderName::from_static) {
        if let Some(value) = caller.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let json = header::HeaderValue::from_static("application/json");
    headers.insert(header::ACCEPT, json);
    headers
}

async fn read(mut response: reqwest::Response) -> Result<Answer, Unreached> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST_BYTES => {
                return Err(Unreached::TooLarge);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Answer { status, headers, body: body.into() }),
            Err(error) => return Err(Unreached::Unknown(error.without_url().to_string())),
        }
    }
}
