//! Errors as Ably's REST APIs answer them, so that its SDKs read them: a body, a code, and two
//! headers with the same (Ably docs, "REST API"; `chat.yaml`, `ErrorInfo`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::history::upstream::Answer;
use crate::store::StoreError;

/// Why a request is not answered. The message is for whoever sent it: it holds no text, no token
/// and no stack of ours.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Ably's code (Ably error registry).
    pub code: u32,
    /// What is wrong, and what to do.
    pub message: Cow<'static, str>,
    /// What else Ably, or a moderator, says of it.
    pub detail: Option<Box<RawValue>>,
}

impl ApiError {
    /// An error without detail.
    pub(crate) fn new(status: u16, code: u32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), detail: None }
    }

    /// A parameter that is not one of those that Ably documents.
    pub(super) fn bad_parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, 40_003, message)
    }

    /// Credentials that no renewal makes right. Not one of 40140 to 40149, at which ably-js renews
    /// its token and repeats the request without end (ably-js issue 2193).
    pub(super) fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(401, 40_101, message)
    }

    /// A path that is not there.
    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(404, 40_400, message)
    }

    /// Nobody can answer now.
    pub(super) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(503, 50_003, message)
    }

    /// What Ably answered, in its own words. Some of its errors are in the headers alone.
    pub(crate) fn of_ably(answer: &Answer) -> Self {
        #[derive(Default, Deserialize)]
        struct Info {
            message: Option<String>,
            code: Option<u32>,
            detail: Option<Box<RawValue>>,
        }
        #[derive(Deserialize)]
        struct Body {
            error: Info,
        }
        let header = |name: &str| answer.headers.get(name)?.to_str().ok().map(ToOwned::to_owned);
        let info = serde_json::from_slice::<Body>(&answer.body).map(|body| body.error);
        let info = info.unwrap_or_default();
        let status = answer.status.as_u16();
        let code = info.code.or_else(|| header("x-ably-errorcode")?.parse().ok());
        let message = info.message.or_else(|| header("x-ably-errormessage"));
        Self {
            status,
            code: match code.unwrap_or(u32::from(status) * 100) {
                // ably-js repeats without end at these (see `refused`), and no new token helps.
                40_140 | 40_141 | 40_143..=40_149 => 40_101,
                code => code,
            },
            message: message.unwrap_or_else(|| "Ably refused it".into()).into(),
            detail: info.detail,
        }
    }

    /// The body's JSON.
    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            error: Info<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Info<'a> {
            message: &'a str,
            code: u32,
            status_code: u16,
            href: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a RawValue>,
        }
        let error = Info {
            message: &self.message,
            code: self.code,
            status_code: self.status,
            href: format!("https://help.ably.io/error/{}", self.code),
            detail: self.detail.as_deref(),
        };
        serde_json::to_string(&Body { error }).expect("texts and numbers are JSON")
    }
}

/// The table did not answer; the log says why.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(reason = %error, "the table was not read");
        match error.is_retryable {
            true => Self::unavailable("the archive cannot be read now"),
            false => Self::new(500, 50_000, "the archive cannot be read"),
        }
    }
}
