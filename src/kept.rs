//! What was kept of a failure, to be tried again: the record of a failed asynchronous invocation
//! (Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"), or a record
//! that this function has parked.

use std::borrow::Cow;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use base64::Engine;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ably::BASE64;

/// The longest that Lambda can have had an event before it gave up (Lambda Developer Guide,
/// "Asynchronous invocation"): six hours in its queue (`MaximumEventAgeInSeconds` takes no more),
/// and a last attempt of a quarter of an hour; as long again for what the guide does not say.
const LONGEST_KEPT_MS: i64 = (6 * 60 + 15 + 15) * 60 * 1_000;

/// A payload, and what it was known by when it first came.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept<'a> {
    /// Its delivery id then: the same snapshot is then the same row.
    pub(crate) id: String,
    /// When it arrived then, or the earliest that it can have: old reactions then stay old.
    pub(crate) received_at: i64,
    pub(crate) body: Result<Cow<'a, [u8]>, String>,
}

/// A parked record, as it lies in the failure queue.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parked<'a> {
    /// The circumstances.
    #[serde(borrow)]
    pub(crate) parked: Circumstances<'a>,
    /// The payload as it came, where it is text.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    /// The payload as it came, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// Where a parked record is from, when it came, and why it is parked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Circumstances<'a> {
    /// The event source's name.
    #[serde(borrow)]
    pub(crate) source: Cow<'a, str>,
    /// The event source's ARN, where it is known; the name of an Ably Queue.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) source_arn: Option<Cow<'a, str>>,
    /// What the event source repeats when it redelivers the record.
    #[serde(borrow)]
    pub(crate) record_id: Cow<'a, str>,
    /// When it arrived, in ms since the epoch.
    pub(crate) received_at: i64,
    /// When it was parked, in ms since the epoch.
    pub(crate) parked_at: i64,
    /// `NonRetryable`.
    #[serde(borrow)]
    pub(crate) error_type: Cow<'a, str>,
    /// What is wrong, without any content.
    #[serde(borrow)]
    pub(crate) reason: Cow<'a, str>,
    /// The function's version that could not store it.
    #[serde(borrow)]
    pub(crate) function_version: Cow<'a, str>,
}

impl<'a> Parked<'a> {
    pub(crate) fn new(parked: Circumstances<'a>, body: &'a [u8]) -> Self {
        match str::from_utf8(body) {
            Ok(text) => Self { parked, body: Some(text.into()), body_base64: None },
            Err(_) => Self { parked, body: None, body_base64: Some(BASE64.encode(body)) },
        }
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
pub(crate) fn open(json: &str, received_at: i64) -> Option<Kept<'_>> {
    let Shape { parked, request_context } = serde_json::from_str(json).ok()?;
    parked.or(request_context)?;
    if let Ok(Parked { parked, body, body_base64 }) = serde_json::from_str(json) {
        let body = match (body, body_base64) {
            (Some(Cow::Borrowed(text)), _) => Ok(Cow::Borrowed(text.as_bytes())),
            (Some(Cow::Owned(text)), _) => Ok(Cow::Owned(text.into_bytes())),
            (None, Some(text)) => match BASE64.decode(text) {
                Ok(bytes) => Ok(Cow::Owned(bytes)),
                Err(_) => Err("bodyBase64: not base64".into()),
            },
            (None, None) => Err("the parked record has no body".into()),
        };
        let Circumstances { record_id, received_at, .. } = parked;
        return Some(Kept { id: record_id.into(), received_at, body });
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
    Some(Kept {
        id: failed.request_context.request_id.into(),
        // Lambda says when it gave up. Newer reactions may have come while it still tried.
        received_at: gave_up_at.unwrap_or(received_at) - LONGEST_KEPT_MS,
        body,
    })
}
