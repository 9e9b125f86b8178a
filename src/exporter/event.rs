//! An invocation's payload, and the members by which event sources are recognised.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The event as it came. Reading it never fails, so that an event that is not JSON gets this
/// program's answer and not the runtime's.
#[derive(Debug)]
pub struct Event(Result<Box<RawValue>, String>);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer).map_err(|error| error.to_string())))
    }
}

impl Event {
    /// The event, if it is JSON; else why it is not.
    pub(super) fn open(&self) -> Result<Incoming<'_>, &str> {
        let raw = self.0.as_ref().map_err(String::as_str)?.get();
        let shape: Shape<'_> = serde_json::from_str(raw).unwrap_or_default();
        let event_source = shape.event_source.and_then(|raw| serde_json::from_str(raw.get()).ok());
        Ok(Incoming { raw, shape, event_source: event_source.unwrap_or_default() })
    }
}

/// An event that is JSON.
pub(super) struct Incoming<'a> {
    /// The event's text.
    pub(super) raw: &'a str,
    /// Its members by which sources are recognised.
    pub(super) shape: Shape<'a>,
    /// Its `eventSource`; empty where it has none.
    pub(super) event_source: String,
}

/// Members that only some services' events have. Ably's own have `messages` alone.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shape<'a> {
    #[serde(rename = "Records", borrow)]
    pub(super) aws_records: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) records: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) rmq_messages_by_queue: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) messages: Option<&'a RawValue>,
    #[serde(borrow)]
    event_source: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) http_method: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) request_context: Option<&'a RawValue>,
}
