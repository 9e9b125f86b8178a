//! A request: tried again where that may help, elsewhere or in parts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_smithy_types::date_time::{DateTime, Format};
use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE, LINK};
use serde_json::value::RawValue;

use super::error::Kind;
use super::{AblyRest, Budget, Form, Held, HistoryPage, RestError, budget, link, query};
use crate::time::now;

/// Attempts at one request beyond the first, with pauses that grow from half a second to half a
/// minute: some two to four minutes of pauses in all.
const RETRIES: usize = 9;
/// Answers to one request that may be no JSON: a proxy that is in the way may stay there.
const UNREADABLE: usize = 3;
/// Pages of one answer; then they have no end.
const MAX_PAGES: usize = 10_000;
/// How far this machine's clock may be off Ably's. Windows end a minute ago.
const MAX_SKEW: i64 = 30_000;

impl AblyRest {
    /// All items of an answer, page by page.
    pub(super) async fn all(
        &self,
        path: &str,
        query: &str,
    ) -> Result<Vec<Box<RawValue>>, RestError> {
        let mut items = Vec::new();
        let mut query = query.to_owned();
        for _ in 0..MAX_PAGES {
            let mut page = self.page(path, &query, &self.budget_of_details).await?;
            items.append(&mut page.items);
            match page.next {
                Some(next) if next == query => break,
                Some(next) => query = next,
                None => return Ok(items),
            }
        }
        Err(RestError::senseless(path, 200, "pages without end".into()))
    }

    /// Asks until there is an answer, or no hope of one. A page that failed twice by itself, and
    /// not for lack of a connection, is asked for in smaller and smaller parts.
    pub(super) async fn page(
        &self,
        path: &str,
        query: &str,
        budget: &Budget,
    ) -> Result<HistoryPage, RestError> {
        let (shortest, longest) = self.times.pauses;
        let pauses = ExponentialBuilder::new()
            .with_min_delay(shortest)
            .with_max_delay(longest)
            .with_max_times(RETRIES)
            .with_jitter();
        let mut pauses = pauses.build();
        let (mut asked, mut may_halve) = (query.to_owned(), true);
        let (mut of_size, mut unreadable, mut expected) = (0, 0, budget::USUAL);
        loop {
            let is_whole = !may_halve || query::limit(&asked) <= 1;
            let most = if is_whole { usize::MAX } else { budget::MOST };
            let error = match self.attempt((path, &asked), (expected, most), budget).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            if let Some(bytes) = error.lacks_room_for {
                match smaller(&asked, bytes).filter(|_| may_halve) {
                    Some(smaller) => asked = smaller,
                    None if bytes <= expected => return Err(error),
                    None => expected = bytes,
                }
                continue;
            }
            // No page of Ably's says whether a cursor stands with another limit.
            if asked != query && error.status == Some(400) {
                (asked, may_halve) = (query.to_owned(), false);
                continue;
            }
            of_size += usize::from(error.is_of_size);
            unreadable += usize::from(error.kind == Kind::Unreadable);
            if error.is_of_size && of_size > 1 && may_halve {
                asked = query::halved(&asked).unwrap_or(asked);
            }
            match pauses.next() {
                Some(pause) if error.is_transient() && unreadable < UNREADABLE => {
                    let wished = error.retry_after.unwrap_or_default().min(Duration::from_secs(60));
                    let pause = pause.max(wished);
                    let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(reason = %error, pauseMs = ms, "Ably will be asked again");
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Asks host after host. A rate limit is the account's, not a host's.
    async fn attempt(
        &self,
        (path, query): (&str, &str),
        (expected, most): (usize, usize),
        budget: &Budget,
    ) -> Result<HistoryPage, RestError> {
        let mut last = RestError::default();
        for host in self.hosts.order() {
            if let Some(pace) = &self.pace {
                pace.lock().await.tick().await;
            }
            let held = budget.reserve(expected).await;
            match self.ask(host, (path, query), (held, most)).await {
                Ok(page) => {
                    self.hosts.worked(host);
                    return Ok(page);
                }
                Err(error) if error.is_transient() && !error.is_of_account() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn ask(
        &self,
        host: &str,
        (path, query): (&str, &str),
        (mut held, most): (Held, usize),
    ) -> Result<HistoryPage, RestError> {
        let asked_at = now();
        let separator = if query.is_empty() { "" } else { "?" };
        let request = self.client.get(format!("{host}{path}{separator}{query}"));
        let response = request.send().await.map_err(|error| RestError::no_answer(path, &error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read(path, response, (&mut held, most)).await?;
        held.shrink_to(body.len());
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
        Ok(HistoryPage { items, next: link::next(links), asked_at, form: Form::Chat, held })
    }
}

/// Reads an answer, as far as there is memory for it, and no more than `most` bytes.
async fn read(
    path: &str,
    mut response: Response,
    (held, most): (&mut Held, usize),
) -> Result<Vec<u8>, RestError> {
    let length = response.content_length().and_then(|length| usize::try_from(length).ok());
    if let Some(bytes) = length
        && (bytes > most || !held.grow_to(bytes))
    {
        return Err(RestError::no_room(path, bytes));
    }
    let mut body = Vec::with_capacity(length.unwrap_or(0));
    let failed = |error: reqwest::Error| RestError::no_answer(path, &error);
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        let bytes = body.len() + chunk.len();
        if bytes > most || !held.grow_to(bytes) {
            // It is not known how much more would come.
            return Err(RestError::no_room(path, 2 * bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The query of a page that is small enough, as far as can be told from one of this size;
/// `None` if it is, or could not be smaller.
fn smaller(query: &str, bytes: usize) -> Option<String> {
    let limit = query::limit(query);
    let fits = usize::try_from(limit).unwrap_or(1) * (budget::MOST * 4 / 5) / bytes.max(1);
    let fits = u32::try_from(fits).unwrap_or(limit).max(1);
    (bytes > budget::MOST && fits < limit).then(|| query::limited(query, fits)).flatten()
}

/// Windows, and which of two reaction summaries is newer, are decided by clocks. An answer's `Date`
/// is Ably's, to the second.
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
    Err(RestError::senseless(path, 200, message))
}

#[cfg(test)]
mod tests {
    use super::*;

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
