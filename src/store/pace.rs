//! Writes at the pace of the table, for whoever has time: a write that DynamoDB does not take yet
//! is tried again, and no more of them begin than DynamoDB takes.
//!
//! Writes begin one interval after the other. Each failure makes the interval longer, each success
//! shorter, and more so the longer a run of successes is. So somewhat more is tried than the table
//! takes: none of its capacity is lost, and an outage costs one attempt a second.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::store::error::StoreError;
use crate::time::now;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The interval after the first failure. A shorter one is none.
const SHORTEST: Duration = Duration::from_micros(250);
/// The longest interval: that of an outage.
const LONGEST: Duration = Duration::from_secs(1);
/// What a failure makes of the interval.
const SLOWER: f64 = 1.5;
/// What the nth success in a row makes of it: this to the power of n.
const FASTER: f64 = 0.985;
/// How far writes may be behind their turns: timers wait for whole milliseconds.
const SLACK: Duration = Duration::from_millis(5);
/// A table that has taken nothing for so long is failing: before, it may just be throttling.
const FAILING: i64 = 5_000;

/// The pace of one table's writes.
#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    /// Whoever waits for the next turn holds this; the others queue for it.
    turn: tokio::sync::Mutex<()>,
    /// When all of them give up.
    end: watch::Sender<Option<Instant>>,
}

#[derive(Debug)]
struct State {
    interval: Duration,
    next: Instant,
    /// When the interval changed. A success that began before says nothing about it.
    changed: Instant,
    /// When it became longer. A failure that began before says nothing about it: of those that
    /// begin together, one counts, and also where the first of them succeed.
    slowed: Instant,
    successes: i32,
    health: Health,
}

/// How a table has been taking writes. Times are in ms since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When it last took one, or held what was to be written.
    pub last_written: Option<i64>,
    /// Since when it has been taking none, and what it says.
    failing: Option<(i64, String)>,
}

impl Health {
    /// Since when the table has been failing, and why; `None` while it takes writes, however
    /// slowly.
    #[must_use]
    pub fn failing(&self) -> Option<(i64, &str)> {
        let (since, reason) = self.failing.as_ref()?;
        (now() - since >= FAILING).then_some((*since, reason))
    }
}

impl Pace {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let state = State {
            interval: Duration::ZERO,
            next: now,
            changed: now,
            slowed: now,
            successes: 0,
            health: Health::default(),
        };
        Self {
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
            end: watch::Sender::new(None),
        }
    }

    pub(super) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    pub(super) fn finish_by(&self, end: Instant) {
        self.end.send_replace(Some(end));
    }

    /// Attempts until one succeeds or fails permanently, or `deadline` or the end has come; `late`
    /// is the error if none of them was answered.
    pub(super) async fn write<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        deadline: Instant,
        attempt: impl Fn() -> F,
        late: impl Fn() -> StoreError,
    ) -> Result<T, StoreError> {
        let mut last = None;
        let attempts = async {
            loop {
                let begun = self.turn().await;
                let written = timeout(ATTEMPT, attempt()).await.unwrap_or_else(|_| {
                    let detail = format!("no answer within {ATTEMPT:?}");
                    Err(StoreError { detail, ..late() })
                });
                match written {
                    Err(error) if error.is_retryable => {
                        self.failed(begun, &error);
                        last = Some(error);
                    }
                    written => {
                        self.answered(begun, written.is_ok());
                        return written;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            written = attempts => written,
            () = self.end(deadline) => Err(last.unwrap_or_else(late)),
        }
    }

    /// Whether the table takes whatever comes.
    pub(super) fn is_free(&self) -> bool {
        self.lock().interval.is_zero()
    }

    /// What comes of one attempt; `None` if it takes too long, or `deadline` or the end has come.
    pub(super) async fn attempt<T>(
        &self,
        deadline: Instant,
        attempt: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            done = timeout(ATTEMPT, attempt) => done.ok(),
            () = self.end(deadline) => None,
        }
    }

    /// Waits for the time to begin a write; that time.
    async fn turn(&self) -> Instant {
        if self.lock().interval.is_zero() {
            return Instant::now();
        }
        let _turn = self.turn.lock().await;
        let next = self.lock().next;
        sleep_until(next).await;
        let now = Instant::now();
        let mut state = self.lock();
        state.next = state.next.max(now.checked_sub(SLACK).unwrap_or(now)) + state.interval;
        now
    }

    /// A write failed transiently.
    pub(super) fn failed(&self, begun: Instant, error: &StoreError) {
        let mut state = self.lock();
        let reason = error.to_string();
        match &mut state.health.failing {
            Some((_, last)) => *last = reason,
            none => *none = Some((now(), reason)),
        }
        state.successes = 0;
        if begun >= state.slowed {
            let interval = state.interval.max(SHORTEST).mul_f64(SLOWER).min(LONGEST);
            state.change(interval);
            state.slowed = state.changed;
        }
    }

    /// The table has answered; by taking the row, or by refusing it permanently.
    pub(super) fn answered(&self, begun: Instant, is_written: bool) {
        let mut state = self.lock();
        if is_written {
            state.health = Health { last_written: Some(now()), failing: None };
        }
        if begun >= state.changed && !state.interval.is_zero() {
            state.successes = state.successes.saturating_add(1);
            let interval = state.interval.mul_f64(FASTER.powi(state.successes));
            state.change(if interval < SHORTEST { Duration::ZERO } else { interval });
        }
    }

    /// Waits until `deadline` or the end, whichever is earlier.
    async fn end(&self, deadline: Instant) {
        let mut end = self.end.subscribe();
        loop {
            let earlier = end.borrow_and_update().map_or(deadline, |end| end.min(deadline));
            tokio::select! {
                () = sleep_until(earlier) => return,
                // The sender lives as long as this.
                _ = end.changed() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn change(&mut self, interval: Duration) {
        let now = Instant::now();
        self.interval = interval;
        self.changed = now;
        self.next = self.next.min(now + interval);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::store::table::Written;

    const WRITERS: usize = 50;

    fn transient() -> StoreError {
        let (action, table) = ("dynamodb:PutItem", "t".to_owned());
        StoreError { action, table, detail: "ThrottlingException".into(), is_retryable: true }
    }

    /// A table that takes `rate` writes a second, from `opens` on. Time is the runtime's.
    struct Table {
        rate: f64,
        tokens: Cell<(f64, Instant)>,
        opens: Instant,
        attempts: Cell<u32>,
    }

    impl Table {
        fn new(rate: f64, opens: Duration) -> Self {
            let now = Instant::now();
            let tokens = Cell::new((1.0, now));
            Self { rate, tokens, opens: now + opens, attempts: Cell::new(0) }
        }

        async fn put(&self) -> Result<Written, StoreError> {
            self.attempts.set(self.attempts.get() + 1);
            let (now, (tokens, then)) = (Instant::now(), self.tokens.get());
            let come = now.duration_since(then).as_secs_f64() * self.rate;
            let tokens = (tokens + come).min(1.0 + self.rate / 10.0);
            let is_taken = tokens >= 1.0 && now >= self.opens;
            self.tokens.set((if is_taken { tokens - 1.0 } else { tokens }, now));
            tokio::time::sleep(Duration::from_millis(5)).await;
            if is_taken { Ok(Written::Stored) } else { Err(transient()) }
        }
    }

    /// Writes rows, some at once; what became of them, and how long it took.
    async fn write(
        pace: &Pace,
        table: &Table,
        rows: usize,
        patience: Duration,
    ) -> (Vec<Result<Written, StoreError>>, f64) {
        let began = Instant::now();
        let deadline = began + patience;
        let writes = (0..rows).map(|_| pace.write(deadline, || table.put(), transient));
        let written = stream::iter(writes).buffer_unordered(WRITERS).collect().await;
        (written, began.elapsed().as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_is_written_to_as_fast_as_it_takes() {
        for (rate, rows) in [(10.0, 300_u16), (150.0, 1_500), (1_000.0, 10_000)] {
            let (pace, table) = (Pace::new(), Table::new(rate, Duration::ZERO));
            let ideal = f64::from(rows) / rate;
            let patience = Duration::from_secs(600);
            let (written, took) = write(&pace, &table, rows.into(), patience).await;
            assert!(written.iter().all(Result::is_ok));
            assert!(took < ideal * 1.2, "{took} s at {rate} a second");
            let attempts = table.attempts.get();
            assert!(attempts < 3 * u32::from(rows), "{attempts} attempts at {rate} a second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_costs_an_attempt_a_second_and_ends_quickly() {
        let outage = Duration::from_secs(600);
        let (pace, table) = (Pace::new(), Table::new(2_000.0, outage));
        let (written, took) = write(&pace, &table, 1_000, Duration::from_secs(900)).await;
        assert!(written.iter().all(Result::is_ok));
        assert!(took < 615.0, "{took} s");
        assert!(table.attempts.get() < 600 + 2_500, "{} attempts", table.attempts.get());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_and_the_end_are_kept() {
        let (pace, table) = (Pace::new(), Table::new(0.0, Duration::from_secs(86_400)));
        let (written, took) = write(&pace, &table, 100, Duration::from_secs(10)).await;
        assert!(written.iter().all(|written| *written == Err(transient())), "{written:?}");
        assert!((10.0..10.1).contains(&took), "{took} s");
        let ends = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            pace.finish_by(Instant::now() + Duration::from_secs(2));
        };
        let ((_, took), ()) =
            tokio::join!(write(&pace, &table, 100, Duration::from_secs(60)), ends);
        assert!((5.0..5.1).contains(&took), "{took} s");
    }
}
