//! Answers: JSON or MessagePack, with the headers that Ably's SDKs look for. No answer is larger
//! than its front end takes.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::history::error::ApiError;
use crate::store::hex;

/// The two headers by which SDKs know an error.
pub(super) const ERROR_CODE: HeaderName = HeaderName::from_static("x-ably-errorcode");
pub(super) const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-ably-errormessage");
/// Exactly these: ably-java takes no other, not even with a charset (ably-java `HttpCore`).
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const MSGPACK: HeaderValue = HeaderValue::from_static("application/x-msgpack");
/// May be kept, and must be asked about: a message may change, and be erased, at any time.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The most bytes of an answer as the front end counts them. A function's answer may have 6 MB as
/// JSON, in which a body of JSON is a string, and one of MessagePack base64 (Lambda Developer
/// Guide, "Lambda quotas").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerLimit(pub usize);

impl Default for AnswerLimit {
    fn default() -> Self {
        Self(5_500_000)
    }
}

impl AnswerLimit {
    /// What a load balancer takes: 1 MB (from memory of AWS's documents, not tried).
    pub const LOAD_BALANCER: Self = Self(950_000);
}

/// The form that the caller reads. Ably's SDK for Node decodes a success by what it asked for,
/// whatever the answer says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    MsgPack,
}

impl Form {
    /// `Accept` wins over `format` (Ably docs, "REST API").
    pub(super) fn wanted(headers: &HeaderMap, format: Option<&str>) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let by_name = |name: &str| name.contains("msgpack");
        match (accept, format) {
            (Some(accept), _) if by_name(accept) => Self::MsgPack,
            (Some(accept), _) if accept.contains("json") => Self::Json,
            (_, Some(format)) if by_name(format) => Self::MsgPack,
            _ => Self::Json,
        }
    }

    /// What JSON text counts in the front end's answer.
    pub(super) fn weight(self, json: &str) -> usize {
        match self {
            Self::Json => json.len() + json.bytes().filter(|b| matches!(b, b'"' | b'\\')).count(),
            // Four characters of a number become nine bytes, and these twelve of base64.
            Self::MsgPack => json.len() * 3,
        }
    }

    /// The same of what may be no text.
    pub(super) fn weight_of(self, body: &[u8]) -> usize {
        str::from_utf8(body).map_or(body.len() * 4 / 3, |text| self.weight(text))
    }

    pub(super) fn content_type(self) -> HeaderValue {
        match self {
            Self::Json => JSON,
            Self::MsgPack => MSGPACK,
        }
    }
}

/// A success.
pub(super) struct Success {
    /// JSON text.
    pub(super) json: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

impl Success {
    pub(super) fn new(json: String) -> Self {
        Self { json, status: StatusCode::OK, headers: HeaderMap::new() }
    }

    pub(super) fn of<T: Serialize>(value: &T) -> Self {
        Self::new(serde_json::to_string(value).expect("maps with string keys are JSON"))
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Marks what may be asked for again with `If-None-Match`.
    pub(super) fn tagged(self) -> Self {
        let digest = hex(&Sha256::digest(&self.json));
        let tag = format!("\"{}\"", digest.get(..32).unwrap_or_default());
        let mut tagged = self.with(header::ETAG, &tag);
        tagged.headers.insert(header::CACHE_CONTROL, REVALIDATE);
        tagged
    }

    /// The response, in the form that the request asked for.
    pub(super) fn respond(mut self, form: Form, request: &HeaderMap) -> Response<Body> {
        let tag = self.headers.get(header::ETAG);
        if tag.is_some() && request.get(header::IF_NONE_MATCH) == tag {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            self.headers.remove(header::CONTENT_TYPE);
            *response.headers_mut() = self.headers;
            return response;
        }
        let body = match form {
            Form::Json => self.json.into_bytes(),
            Form::MsgPack => msgpack(&self.json),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(header::CONTENT_TYPE, form.content_type());
        response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
        response
    }
}

/// An error's response. It is JSON whatever was asked for: SDKs go by its content type.
pub(super) fn refuse(error: &ApiError) -> Response<Body> {
    let mut response = Response::new(Body::from(error.json()));
    *response.status_mut() =
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(ERROR_CODE, error.code.into());
    // A header holds no letters beyond ASCII.
    let message: String = error.message.chars().filter(|c| matches!(c, ' '..='~')).collect();
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert(ERROR_MESSAGE, message);
    }
    response
}

/// What `json` says, in MessagePack.
pub(super) fn msgpack(json: &str) -> Vec<u8> {
    let value = serde_json::from_str(json).unwrap_or_else(|_| said_apart(json));
    rmp_serde::to_vec(&value).expect("JSON's values have a form in MessagePack")
}

/// Messages of which some member is nested too deep, or holds a number that is too large: such a
/// member as `{"json": "<its JSON>"}`, the others as they are.
fn said_apart(json: &str) -> Value {
    let whole_or = |json: &str, apart: fn(&str) -> Value| {
        serde_json::from_str(json).unwrap_or_else(|_| apart(json))
    };
    let member = |json: &str| whole_or(json, |json| serde_json::json!({ "json": json }));
    let message = |json: &str| {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
        members.into_iter().map(|(name, value)| (name, member(value.get()))).collect()
    };
    match serde_json::from_str::<Vec<&RawValue>>(json) {
        Ok(messages) => messages.into_iter().map(|json| message(json.get())).collect(),
        Err(_) => message(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Value {
        rmp_serde::from_slice(bytes).unwrap()
    }

    #[test]
    fn messagepack_says_the_same() {
        let json = r#"[{"text":"é","timestamp":1767225600000,"metadata":{"a":[1,-2,0.5,null]}}]"#;
        assert_eq!(read(&msgpack(json)), serde_json::from_str::<Value>(json).unwrap());
    }

    #[test]
    fn metadata_that_messagepack_cannot_hold_spoils_no_page() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
        let json =
            format!(r#"[{{"text":"a","metadata":{deep}}},{{"text":"b","headers":{{"n":1e999}}}}]"#);
        let said = read(&msgpack(&json));
        assert_eq!((&said[0]["text"], &said[1]["text"]), (&"a".into(), &"b".into()));
        assert_eq!(said[0]["metadata"]["json"], deep);
        assert_eq!(said[1]["headers"]["json"], r#"{"n":1e999}"#);
    }

    #[test]
    fn the_form_is_the_one_asked_for() {
        let wanted = |accept: &'static str, format| {
            let accept = HeaderValue::from_static(accept);
            Form::wanted(&HeaderMap::from_iter([(header::ACCEPT, accept)]), format)
        };
        assert_eq!(wanted("application/x-msgpack", None), Form::MsgPack);
        assert_eq!(wanted("application/json", Some("msgpack")), Form::Json);
        assert_eq!(wanted("*/*", Some("msgpack")), Form::MsgPack);
        assert_eq!(Form::wanted(&HeaderMap::new(), None), Form::Json);
    }
}
