//! One record on its way in, whatever it is from: what has to be known of it to answer for it.

use std::borrow::Cow;

use base64::Engine;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::ably::BASE64;
use crate::ingest::Report;
use crate::kept::{self, Kept};
use crate::store::hex;

/// A record, and what the function has to know of it to answer for it.
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
    /// The payload; or why the record holds none.
    pub(crate) body: Result<Cow<'a, [u8]>, String>,
    /// The record as the event source wrote it, to be parked if it holds no payload.
    pub(crate) raw: &'a str,
    /// What becomes of it if it fails permanently.
    pub(crate) if_refused: IfRefused,
    /// What its failure means for other records of the event.
    pub(crate) order: Order,
}

/// What becomes of a record that fails permanently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfRefused {
    /// It goes to the failure queue, and counts as dealt with.
    Park,
    /// The same, unless the rule is wrong: then whoever sent it is told so.
    ParkUnlessWrongRule,
    /// It goes back to where it is from, which keeps it.
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

impl Delivery<'_> {
    /// If the body is something that was kept of a failure, puts what was kept in its place, known
    /// as it was when it first came. Whether it is.
    pub(crate) fn open(&mut self) -> bool {
        let body = self.body.as_deref().ok().and_then(|body| str::from_utf8(body).ok());
        let kept = body.and_then(|body| kept::open(body, self.received_at));
        let Some(Kept { id, received_at, body }) = kept else { return false };
        self.body = body.map(|body| Cow::Owned(body.into_owned()));
        self.id = id;
        self.received_at = received_at;
        true
    }
}

impl IfRefused {
    pub(crate) fn parks(self, report: &Report) -> bool {
        match self {
            Self::Park => true,
            Self::ParkUnlessWrongRule => !report.is_wrong_rule,
            Self::HandBack => false,
        }
    }
}

/// Of each record, whether another one's failure holds it: one before it, or, where a batch ends as a
/// whole, any.
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

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All of it is stored, or not for the archive.
    Done,
    /// What could not be stored is in the failure queue.
    Parked,
    /// It has to be handed back.
    Failed,
}

/// A record's end, and what became of its messages.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) fate: Fate,
    pub(crate) report: Report,
}

/// Reads one record into `T`, which names the members that are of use here and no others: a member
/// that is not looked at cannot keep a message out of the archive.
pub(crate) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    match raw.get().as_bytes().first() {
        Some(b'{') => serde_json::from_str(raw.get())
            .map_err(|_| "the record's members are not of the types that AWS documents".into()),
        _ => Err("the record is not an object".into()),
    }
}

/// The body in a record's member `name`, which holds base64.
pub(crate) fn from_base64(text: Option<&str>, name: &str) -> Result<Cow<'static, [u8]>, String> {
    let text = text.ok_or_else(|| format!("{name}: missing"))?;
    let bytes = BASE64.decode(text).map_err(|_| format!("{name}: not base64"))?;
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
