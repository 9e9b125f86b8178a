//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch turns into metrics,
//! without a call from the function.

use std::io::stdout;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use metrique_writer_core::format::Format;
use metrique_writer_core::unit::{Millisecond, UnitTag};
use metrique_writer_core::{
    Entry, EntryWriter, MetricFlags, Observation, Unit, Value, ValueWriter,
};
use metrique_writer_format_emf::{Emf, MetricDefinition, MetricDirective};

use crate::ingest::outcome::{Disposition, Outcome, Report};

/// The CloudWatch namespace of every metric.
const NAMESPACE: &str = "AblyChatExporter";
/// The dimension of every metric.
const FUNCTION_NAME: &str = "FunctionName";
/// The second dimension of [`REFUSED`].
const REASON: &str = "Reason";
/// Messages that came.
const RECEIVED: &str = "Received";
/// Webhooks that were not taken in.
const REFUSED: &str = "Refused";
/// Values that CloudWatch takes for one metric in one line.
const MAX_VALUES: usize = 100;

/// Writes `Received`, `Stored`, `Superseded`, `Skipped`, `Failed` (counts of messages), `Parked`
/// and `HandedBack` (counts of records) and `IngestLag` (ms from `version.timestamp` to the row)
/// for each invocation, by `FunctionName`; and `Refused` for each webhook that is not taken in, by
/// `FunctionName` and by `FunctionName` and `Reason`.
pub struct Metrics {
    ingested: Mutex<Emf>,
    refused: Mutex<Emf>,
}

impl Default for Metrics {
    fn default() -> Self {
        let emf = || Emf::builder(NAMESPACE.into(), vec![vec![FUNCTION_NAME.into()]]);
        let refused =
            MetricDefinition { name: REFUSED, unit: Unit::None, storage_resolution: None };
        let by_reason = MetricDirective {
            dimensions: vec![vec![FUNCTION_NAME, REASON]],
            metrics: vec![refused],
            namespace: NAMESPACE,
        };
        Self {
            ingested: Mutex::new(emf().skip_all_validations(true).build()),
            refused: Mutex::new(emf().directive(by_reason).skip_all_validations(true).build()),
        }
    }
}

impl Metrics {
    /// Writes one invocation's line. `now` is in ms since the epoch.
    pub(crate) fn emit(&self, function_name: &str, outcomes: &[Outcome], now: i64) {
        let timestamps = outcomes.iter().flat_map(|outcome| &outcome.report.stored_timestamps);
        let lags = timestamps.filter(|timestamp| **timestamp > 0);
        let mut lags: Vec<u64> =
            lags.map(|timestamp| u64::try_from(now - timestamp).unwrap_or(0)).collect();
        lags.sort_unstable();
        write(&self.ingested, &Line { function_name, outcomes, lags: Lags(lags), now });
    }

    /// Counts a webhook that was not taken in.
    pub(crate) fn refused(&self, function_name: &str, reason: &str, now: i64) {
        write(&self.refused, &RefusedLine { function_name, reason, now });
    }

    /// Writes counts of another function's, by name.
    #[cfg(feature = "reconcile")]
    pub(crate) fn counts(&self, function_name: &str, counts: &[(&'static str, u64)], now: i64) {
        write(&self.ingested, &Counts { function_name, counts, now });
    }
}

fn write(emf: &Mutex<Emf>, line: &impl Entry) {
    let mut emf = emf.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = emf.format(line, &mut stdout().lock()) {
        tracing::warn!(reason = %error, "metrics not written");
    }
}

/// What every line begins with.
fn begin<'a>(writer: &mut impl EntryWriter<'a>, function_name: &'a str, now: i64) {
    let since_epoch = Duration::from_millis(u64::try_from(now).unwrap_or(0));
    writer.timestamp(UNIX_EPOCH + since_epoch);
    writer.value(FUNCTION_NAME, function_name);
}

struct RefusedLine<'a> {
    function_name: &'a str,
    reason: &'a str,
    now: i64,
}

impl Entry for RefusedLine<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        begin(writer, self.function_name, self.now);
        writer.value(REASON, self.reason);
        writer.value(REFUSED, &1_u64);
        // So that an alarm finds it wherever it finds a refusal: nothing came of this request.
        writer.value(RECEIVED, &0_u64);
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
        begin(writer, self.function_name, self.now);
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
        begin(writer, self.function_name, self.now);
        let counts: [(&str, Count); 5] = [
            (RECEIVED, |report| report.received),
            ("Stored", |report| report.stored),
            ("Superseded", |report| report.superseded),
            ("Skipped", |report| report.skipped.values().sum()),
            ("Failed", |report| report.failed.len() as u64),
        ];
        for (name, count) in counts {
            let count = self.outcomes.iter().map(|outcome| count(&outcome.report)).sum::<u64>();
            writer.value(name, &count);
        }
        for (name, end) in
            [("Parked", Disposition::Parked), ("HandedBack", Disposition::HandedBack)]
        {
            let ended = self.outcomes.iter().filter(|outcome| outcome.disposition == end).count();
            writer.value(name, &(ended as u64));
        }
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
