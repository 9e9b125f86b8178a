//! The time, for those who may ask for it; the rest take it as an argument. And times in words.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_types::date_time::{DateTime, Format};

/// Ms of a day.
pub const MS_PER_DAY: i64 = 86_400_000;

/// The time in ms since the epoch, by this machine's clock.
#[must_use]
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// A time, in ms since the epoch, in words: RFC 3339, in UTC.
#[must_use]
pub fn in_words(ms: i64) -> String {
    let time = DateTime::from_millis(ms);
    time.fmt(Format::DateTime).unwrap_or_else(|_| ms.to_string())
}

/// The day of a time, in ms since the epoch: `2026-11-22`, in UTC.
#[must_use]
pub fn day(ms: i64) -> String {
    in_words(ms).chars().take_while(|c| *c != 'T').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_words() {
        assert_eq!(in_words(1_767_225_600_000), "2026-01-01T00:00:00Z");
        assert_eq!(day(1_767_225_599_999), "2025-12-31");
        assert_eq!((day(0).as_str(), day(-1).as_str()), ("1970-01-01", "1969-12-31"));
    }
}
