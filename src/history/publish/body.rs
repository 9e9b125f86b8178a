//! What is published, as rules and a hook see it: read of the request's body, and put back into it.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ably;
use crate::chat::JsonText;
use crate::history::error::ApiError;
use crate::history::publish::request::Operation;

/// The content of a message (`chat.yaml`, *sendMessage* and *updateMessage*).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Content {
    /// Ably wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) headers: Option<Box<RawValue>>,
}

/// A body whose content may be another one.
#[derive(Debug)]
pub(super) enum Parsed {
    Send(Content),
    Update(Update),
}

/// The body of an update, which says of itself why it is made.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Update {
    message: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
}

impl Parsed {
    /// Reads the body of a request; `None` of one that has no content. A member that comes twice is
    /// an error: Ably might take the other one.
    pub(super) fn read(
        headers: &HeaderMap,
        body: &[u8],
        operation: Operation,
    ) -> Result<Option<Self>, ApiError> {
        if !matches!(operation, Operation::Send | Operation::Update) {
            return Ok(None);
        }
        let unreadable = || ApiError::new(400, 40_001, "the body is no message of the Chat API");
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let is_msgpack = content_type.is_some_and(|it| it.contains("msgpack"));
        let json = ably::request_json(body, is_msgpack).map_err(|_| unreadable())?;
        let json = str::from_utf8(&json).map_err(|_| unreadable())?;
        // Serde would take an array for an object, member by member.
        if !json.trim_start().starts_with('{') {
            return Err(unreadable());
        }
        let parsed = match operation {
            Operation::Update => serde_json::from_str(json).map(Self::Update),
            _ => serde_json::from_str(json).map(Self::Send),
        };
        parsed.map(Some).map_err(|_| unreadable())
    }

    pub(super) fn content(&self) -> &Content {
        match self {
            Self::Send(content) | Self::Update(Update { message: content, .. }) => content,
        }
    }

    /// The same request with another content, as JSON.
    pub(super) fn with(self, content: Content) -> Bytes {
        let json = match self {
            Self::Send(_) => serde_json::to_vec(&content),
            Self::Update(update) => serde_json::to_vec(&Update { message: content, ..update }),
        };
        json.expect("texts and JSON are JSON").into()
    }
}

impl Content {
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// The same with every member: who reads it need not look for them.
    pub(super) fn whole(&self) -> Self {
        let or_empty = |json: &Option<Box<RawValue>>| {
            Some(json.clone().unwrap_or_else(|| JsonText::default().into_raw()))
        };
        let (metadata, headers) = (or_empty(&self.metadata), or_empty(&self.headers));
        Self { text: Some(self.text().to_owned()), metadata, headers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &[u8], operation: Operation) -> Result<Option<Parsed>, u32> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]);
        Parsed::read(&headers, body, operation).map_err(|error| error.code)
    }

    #[test]
    fn both_forms_are_read_and_one_is_written() {
        let other = || Content { text: Some("b".into()), ..Content::default() };
        let json = br#"{"text":"a","metadata":{"b":1,"a":1e999},"headers":{},"more":1}"#;
        let sent = read("application/json", json, Operation::Send).unwrap().unwrap();
        assert_eq!(sent.content().text(), "a");
        let metadata = sent.content().metadata.as_deref().map(RawValue::get);
        assert_eq!(metadata, Some(r#"{"b":1,"a":1e999}"#));
        assert_eq!(sent.with(other()), r#"{"text":"b"}"#);
        let update = serde_json::json!({"message": {"text": "a"}, "description": "why"});
        let msgpack = rmp_serde::to_vec(&update).unwrap();
        let update = read("application/x-msgpack", &msgpack, Operation::Update).unwrap().unwrap();
        assert_eq!(update.content().text(), "a");
        assert_eq!(update.with(other()), r#"{"message":{"text":"b"},"description":"why"}"#);
    }

    #[test]
    fn what_could_be_read_otherwise_is_refused() {
        for body in [
            &b"["[..],
            br#"["a"]"#,
            br#"{"text":"a","text":"b"}"#,
            br#"{"text":"a","\u0074ext":"b"}"#,
            br#"{"text":7}"#,
            br#"{"text":"\ud800"}"#,
            b"\xff",
            b"\x81\xa4text\xa1a",
        ] {
            assert_eq!(read("application/json", body, Operation::Send).unwrap_err(), 40_001);
        }
        let json = br#"{"text":"a"}"#;
        assert_eq!(read("application/x-msgpack", json, Operation::Send).unwrap_err(), 40_001);
        assert_eq!(read("application/json", json, Operation::Update).unwrap_err(), 40_001);
        // What has no content may have no body either.
        for operation in [Operation::Delete, Operation::Reaction, Operation::Other] {
            assert!(read("application/json", b"", operation).unwrap().is_none());
        }
    }
}
