//! How long an invocation has.

use std::time::Duration;

/// Lambda's longest time-out.
pub(crate) const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);
/// Kept back from the invocation's time to answer in; and for each MB of the event besides, since
/// more messages take longer to count and to let go of: measured at an eighth of a processor.
const TIME_TO_ANSWER: Duration = Duration::from_millis(400);
const TIME_TO_ANSWER_A_MB: Duration = Duration::from_millis(100);

/// How long the writes of an event of `bytes` bytes may take until `deadline`, in ms since the
/// epoch as `now` is. Emulators of the Runtime API give deadlines of 1970 or none: whoever answers
/// so waits as long as Lambda ever does.
pub(crate) fn time_to_write(deadline: u64, now: i64, bytes: usize) -> Duration {
    let to_answer = TIME_TO_ANSWER + TIME_TO_ANSWER_A_MB.mul_f64(bytes as f64 / 1e6);
    time_left(deadline, now).map_or(LONGEST_INVOCATION, |left| left.saturating_sub(to_answer))
}

/// How long an invocation has until `deadline`; `None` if it is past on arrival.
pub(crate) fn time_left(deadline: u64, now: i64) -> Option<Duration> {
    let left = deadline.checked_sub(u64::try_from(now).unwrap_or(0))?;
    (left > 0).then(|| Duration::from_millis(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_end_before_the_deadline() {
        assert_eq!(time_to_write(10_000, 5_000, 0), Duration::from_millis(4_600));
        assert_eq!(time_to_write(10_000, 5_000, 6_000_000), Duration::from_millis(4_000));
        assert_eq!(time_to_write(5_100, 5_000, 700), Duration::ZERO);
    }

    /// `cargo lambda watch` sends 600000, which is a time-out and not a time.
    #[test]
    fn regression_a_deadline_that_is_past_on_arrival_is_none() {
        assert_eq!(time_to_write(600_000, 1_767_225_600_000, 0), LONGEST_INVOCATION);
        assert_eq!(time_to_write(0, 1_767_225_600_000, 0), LONGEST_INVOCATION);
    }
}
