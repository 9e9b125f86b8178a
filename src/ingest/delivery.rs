//! One record on its way in, whatever source it is from: what must be known of it to answer for it.

use std::borrow::Cow;

use base64::Engine;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::ably::BASE64;
use crate::ingest::outcome::Report;
use crate::store::hex;

/// A record, and what must be known of it to answer for it.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    /// The event source's name in logs and parked records.
    pub(crate) source: &'static str,
    /// The event source's ARN, where the record has it; the name of an Ably Queue.
    pub(crate) source_arn: Option<String>,
    /// What the event source repeats when it redelivers the record.
    pub(crate) id: String,
    /// When it arrived, in ms since the epoch.
    pub(crate) received_at: i64,
    /// Whether its source says that it was handed over before, so that it may be stored already.
    pub(crate) is_redelivery: bool,
    /// The payload; or why the record holds none.
    pub(crate) body: Result<Cow<'a, [u8]>, Unreadable>,
    /// The record as the event source wrote it, to be parked if it holds no payload.
    pub(crate) raw: &'a str,
    /// Where it goes if it fails permanently.
    pub(crate) on_permanent_failure: OnPermanentFailure,
    /// What its failure means for other records of the event.
    pub(crate) order: Order,
}

/// One attempt at records that are taken in together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// What logs call it.
    pub(crate) request_id: &'a str,
    /// The version of the program, for parked records.
    pub(crate) function_version: &'a str,
    /// What is not stored or parked by then, fails.
    pub(crate) deadline: Instant,
}

/// Why a record, or an event, holds nothing that can be read. Nobody decides by it: it becomes the
/// reason of a permanent failure, in the log, in the answer and in the failure queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);

impl From<&str> for Unreadable {
    fn from(reason: &str) -> Self {
        Self(reason.into())
    }
}

/// Where a record goes that fails permanently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnPermanentFailure {
    /// To the failure queue, and then counts as dealt with.
    Park,
    /// The same, unless the rule is wrong: then its sender is answered so.
    ParkUnlessWrongRule,
    /// Back to its source, which keeps it.
    HandBack,
}

/// What a record's failure means for other records of its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nothing.
    Free,
    /// Those behind it in this message group of a FIFO queue come again too.
    Group(String),
    /// Those behind it come again too.
    Stream,
    /// All come again.
    Batch,
}

impl OnPermanentFailure {
    pub(crate) fn parks(self, report: &Report) -> bool {
        match self {
            Self::Park => true,
            Self::ParkUnlessWrongRule => !report.is_wrong_rule,
            Self::HandBack => false,
        }
    }
}

/// For each record, whether it must be redelivered with another: an earlier one of its stream or
/// group, or any of an all-or-nothing batch.
pub(crate) fn held<'a>(records: impl Iterator<Item = (&'a Order, bool)> + Clone) -> Vec<bool> {
    let mut holding: Vec<&Order> = Vec::new();
    if records.clone().any(|(_, has_failed)| has_failed) {
        holding.push(&Order::Batch);
    }
    let mut held = Vec::new();
    for (order, has_failed) in records {
        let is_held = holding.contains(&order);
        held.push(is_held);
        if has_failed && !is_held && *order != Order::Free {
            holding.push(order);
        }
    }
    held
}

/// Reads one record into `T`, which names the members that are of use here and no others: a member
/// that nobody looks at cannot keep a message out of the archive.
pub(crate) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Unreadable> {
    match raw.get().as_bytes().first() {
        Some(b'{') => serde_json::from_str(raw.get())
            .map_err(|_| "the record's members are not of the types that AWS documents".into()),
        _ => Err("the record is not an object".into()),
    }
}

/// Decodes the base64 of a record's member `name`.
pub(crate) fn from_base64(
    text: Option<&str>,
    name: &str,
) -> Result<Cow<'static, [u8]>, Unreadable> {
    let text = text.ok_or_else(|| Unreadable(format!("{name}: missing")))?;
    let bytes = BASE64.decode(text).map_err(|_| Unreadable(format!("{name}: not base64")))?;
    Ok(Cow::Owned(bytes))
}

/// A record's id in its source; where it has none, the SHA-256 of what it holds, in hexadecimal.
pub(crate) fn id(found: Option<String>, content: &[u8]) -> String {
    found.filter(|id| !id.is_empty()).unwrap_or_else(|| hex(&Sha256::digest(content)))
}

/// A record's id in its source; where it has none, one made of what it holds, when it arrived (ms
/// since the epoch) and its place among those that arrived with it. The same content once more is
/// then another record: to keep a snapshot of reactions twice is better than to lose one, where a
/// reaction came, went and came again.
pub(crate) fn id_of_arrival(
    found: Option<String>,
    content: &[u8],
    received_at: i64,
    place: u64,
) -> String {
    let made = || format!("{}.{received_at}.{place}", hex(&Sha256::digest(content)));
    found.filter(|id| !id.is_empty()).unwrap_or_else(made)
}
