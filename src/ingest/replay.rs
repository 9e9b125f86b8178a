//! What comes back to be tried again: the record of a failed asynchronous invocation (Lambda
//! Developer Guide, "Capturing records of Lambda asynchronous invocations"), or a record that this
//! program has parked.

use std::borrow::Cow;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ingest::delivery::{Delivery, Unreadable};
use crate::ingest::parked::{Parked, Provenance};

/// The longest that Lambda can have had an event before it gave up (Lambda Developer Guide,
/// "Asynchronous invocation"): six hours in its queue (`MaximumEventAgeInSeconds` takes no more),
/// and a last attempt of a quarter of an hour; as long again for what the guide does not say.
const LONGEST_RETRIED_MS: i64 = (6 * 60 + 15 + 15) * 60 * 1_000;

/// A payload, and what it was known by when it first came.
#[derive(Debug, PartialEq)]
struct Replayed<'a> {
    /// Its delivery id then: the same snapshot is then the same row.
    id: String,
    /// When it arrived then, or the earliest that it can have: old reactions then stay old.
    received_at: i64,
    body: Result<Cow<'a, [u8]>, Unreadable>,
}

impl Delivery<'_> {
    /// Replaces a parked or failed-invocation record with its original payload, id and arrival
    /// time. Returns whether it was one.
    pub(crate) fn open(&mut self) -> bool {
        let body = self.body.as_deref().ok().and_then(|body| str::from_utf8(body).ok());
        let replayed = body.and_then(|body| open(body, self.received_at));
        let Some(Replayed { id, received_at, body }) = replayed else { return false };
        self.body = body.map(|body| Cow::Owned(body.into_owned()));
        self.id = id;
        self.received_at = received_at;
        self.is_redelivery = true;
        true
    }
}

/// The record of an invocation that failed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailedInvocation<'a> {
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request_context: RequestContext<'a>,
    #[serde(borrow)]
    request_payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    /// `RetriesExhausted`, `EventAgeExceeded`: no front end's context has it.
    #[serde(rename = "condition")]
    _condition: &'a RawValue,
}

/// What tells what was kept from a payload, in one scan: nearly everything is a payload.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    #[serde(borrow)]
    parked: Option<&'a RawValue>,
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,
}

/// Takes apart what was kept, and came back at `received_at` (ms since the epoch); `None` if `json`
/// is no such thing.
fn open(json: &str, received_at: i64) -> Option<Replayed<'_>> {
    let Shape { parked, request_context } = serde_json::from_str(json).ok()?;
    parked.or(request_context)?;
    if let Ok(parked) = serde_json::from_str::<Parked<'_>>(json) {
        let Provenance { record_id, received_at, .. } = &parked.parked;
        let (id, received_at) = (record_id.to_string(), *received_at);
        return Some(Replayed { id, received_at, body: parked.payload() });
    }
    let failed: FailedInvocation<'_> = serde_json::from_str(json).ok()?;
    let time = failed.timestamp.and_then(|time| DateTime::from_str(&time, Format::DateTime).ok());
    let gave_up_at = time.and_then(|time| time.to_millis().ok());
    let body = match failed.request_payload {
        Some(payload) => Ok(Cow::Borrowed(payload.get().as_bytes())),
        None => {
            Err("the failure's record holds no payload: streams keep theirs, and Lambda names \
                     but shard and sequence numbers; read them from the stream again"
                .into())
        }
    };
    Some(Replayed {
        id: failed.request_context.request_id.into(),
        // Lambda says when it gave up. Newer reactions may have come while it still tried.
        received_at: gave_up_at.unwrap_or(received_at) - LONGEST_RETRIED_MS,
        body,
    })
}
