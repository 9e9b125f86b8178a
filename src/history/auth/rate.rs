//! How many requests a second are taken. A function's instance answers one request after the other
//! and is bounded by its reserved concurrency; these bounds are for a server, and for whoever sends
//! token after token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::history::error::ApiError;

/// For each name: a number at once, and another number a second.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl RateLimit {
    /// Requests with one key, or with tokens that it signed, in one instance.
    pub(super) fn of_requests() -> Self {
        Self::new(100.0, 200.0)
    }

    /// Questions to Ably about tokens of one app, in one instance: Ably counts them as the
    /// account's requests.
    pub(super) fn of_questions() -> Self {
        Self::new(20.0, 40.0)
    }

    fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, buckets: Mutex::default() }
    }

    /// Takes a request, if there is one left for `name`: a key or an app that is known, so that
    /// there are no more of them than in the settings.
    ///
    /// # Errors
    /// When there is none (Ably error registry, 42910).
    pub(super) fn take(&self, name: &str) -> Result<(), ApiError> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(name) {
            buckets.insert(name.to_owned(), Bucket { left: self.burst, at: now });
        }
        let is_left = buckets.get_mut(name).is_some_and(|it| it.take(now, self));
        is_left
            .then_some(())
            .ok_or_else(|| too_many("too many requests with this key or its tokens: wait a second"))
    }
}

impl Bucket {
    fn take(&mut self, now: Instant, limit: &RateLimit) -> bool {
        let come = now.saturating_duration_since(self.at).as_secs_f64() * limit.per_second;
        (self.left, self.at) = ((self.left + come).min(limit.burst), now);
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }
}

/// More than is taken now (Ably error registry, 42910). No SDK repeats it by itself.
pub(super) fn too_many(message: &'static str) -> ApiError {
    ApiError::new(429, 42_910, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_name_has_a_burst_and_a_rate() {
        let limit = RateLimit::new(10.0, 20.0);
        let taken = |name: &str| (0..100).filter(|_| limit.take(name).is_ok()).count();
        assert_eq!((taken("a"), taken("a"), taken("b")), (20, 0, 20));
        tokio::time::advance(Duration::from_millis(550)).await;
        assert_eq!(taken("a"), 5);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(taken("a"), 20);
        let error = limit.take("a").unwrap_err();
        assert_eq!((error.status, error.code), (429, 42_910));
    }
}
