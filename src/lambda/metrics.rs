//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch turns into metrics,
//! without a call from the function.

use std::io::stdout;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use metrique_writer_core::format::Format;
use metrique_writer_core::unit::{Millisecond, UnitTag};
use metrique_writer_core::{
    Entry, EntryWriter, MetricFlags, Observation, Unit, Value, ValueWriter,
};
use metrique_writer_format_emf::Emf;

use crate::delivery::{Fate, Outcome};
use crate::ingest::Report;

/// The CloudWatch namespace of every metric.
const NAMESPACE: &str = "AblyChatExporter";
/// The dimension of every metric.
const FUNCTION_NAME: &str = "FunctionName";
/// Values that CloudWatch takes for one metric in one line.
const MAX_VALUES: usize = 100;

/// Writes `Received`, `Stored`, `Superseded`, `Skipped`, `Failed` (counts of messages), `Parked`
/// (count of records) and `IngestLag` (ms from `version.timestamp` to the row) for each invocation,
/// by `FunctionName`.
pub struct Metrics(Mutex<Emf>);

impl Default for Metrics {
    fn default() -> Self {
        let dimensions = vec![vec![FUNCTION_NAME.into()]];
        Self(Mutex::new(Emf::no_validations(NAMESPACE.into(), dimensions)))
    }
}

impl Metrics {
    /// Writes one invocation's line. `now` is in ms since the epoch.
    pub(super) fn emit(&self, function_name: &str, outcomes: &[Outcome], now: i64) {
        let timestamps = outcomes.iter().flat_map(|outcome| &outcome.report.stored_timestamps);
        let lags = timestamps.filter(|timestamp| **timestamp > 0);
        let mut lags: Vec<u64> =
            lags.map(|timestamp| u64::try_from(now - timestamp).unwrap_or(0)).collect();
        lags.sort_unstable();
        let line = Line { function_name, outcomes, lags: Lags(lags), now };
        let mut emf = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = emf.format(&line, &mut stdout().lock()) {
            tracing::warn!(%error, "metrics not written");
        }
    }

    /// Writes counts of another function's, by name.
    #[cfg(feature = "reconcile")]
    pub(crate) fn counts(&self, function_name: &str, counts: &[(&'static str, u64)], now: i64) {
        let line = Counts { function_name, counts, now };
        let mut emf = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = emf.format(&line, &mut stdout().lock()) {
            tracing::warn!(%error, "metrics not written");
        }
    }
}

#[cfg(feature = "reconcile")]
struct Counts<'a> {
    function_name: &'a str,
    counts: &'a [(&'static str, u64)],
    now: i64,
}

#[cfg(feature = "reconcile")]
impl Entry for Counts<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let since_epoch = Duration::from_millis(u64::try_from(self.now).unwrap_or(0));
        writer.timestamp(UNIX_EPOCH + since_epoch);
        writer.value(FUNCTION_NAME, self.function_name);
        for (name, count) in self.counts {
            writer.value(*name, count);
        }
    }
}

/// How many messages of a record came to some end.
type Count = fn(&Report) -> u64;

struct Line<'a> {
    function_name: &'a str,
    outcomes: &'a [Outcome],
    lags: Lags,
    now: i64,
}

impl Entry for Line<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let since_epoch = Duration::from_millis(u64::try_from(self.now).unwrap_or(0));
        writer.timestamp(UNIX_EPOCH + since_epoch);
        writer.value(FUNCTION_NAME, self.function_name);
        let counts: [(&str, Count); 5] = [
            ("Received", |report| report.received),
            ("Stored", |report| report.stored),
            ("Superseded", |report| report.superseded),
            ("Skipped", |report| report.skipped.values().sum()),
            ("Failed", |report| report.failed.len() as u64),
        ];
        for (name, count) in counts {
            let count = self.outcomes.iter().map(|outcome| count(&outcome.report)).sum::<u64>();
            writer.value(name, &count);
        }
        let parked = self.outcomes.iter().filter(|outcome| outcome.fate == Fate::Parked).count();
        writer.value("Parked", &(parked as u64));
        writer.value("IngestLag", &self.lags);
    }
}

/// Sorted lags. More than CloudWatch takes are given as means of neighbours, which keeps the sum
/// exact and percentiles close.
struct Lags(Vec<u64>);

impl Value for Lags {
    const SHAPE: metrique_writer_core::descriptor::FieldShape<'static> = <u64 as Value>::SHAPE;
    const UNIT: Unit = Millisecond::UNIT;

    fn write(&self, writer: impl ValueWriter) {
        let group = self.0.len().div_ceil(MAX_VALUES).max(1);
        let observations = self.0.chunks(group).map(|lags| Observation::Repeated {
            total: lags.iter().sum::<u64>() as f64,
            occurrences: lags.len() as u64,
        });
        writer.metric(observations, Millisecond::UNIT, [], MetricFlags::empty());
    }
}
