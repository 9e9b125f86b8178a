//! The time, for those who may ask for it; the rest take it as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in ms since the epoch, by this machine's clock.
pub(crate) fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
