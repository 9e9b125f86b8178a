//! What goes back to the caller: Ably's own answer, or why there is none.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::history::error::ApiError;
use crate::history::upstream::Answer;

/// The header that says what became of a published message here.
pub const ARCHIVE: HeaderName = HeaderName::from_static("x-archive");

/// Headers of Ably's answer that say something to its caller.
const HANDED_BACK: [&str; 6] = [
    "content-type",
    "link",
    "retry-after",
    "www-authenticate",
    "x-ably-errorcode",
    "x-ably-errormessage",
];

/// What callers are told who get no answer of Ably's.
pub(super) const UNKNOWN: &str = "Ably did not answer, so that it is unknown whether this was \
    published; repeat it with the same idempotencyKey";
pub(super) const NOT_SENT: &str = "Ably cannot be reached; nothing was published";
pub(super) const NO_TIME: &str = "no time is left to ask Ably; nothing was published";

/// What goes back to the caller.
#[derive(Clone, Debug)]
pub struct Published {
    /// Ably's status, or that of a refusal.
    pub status: StatusCode,
    /// Those of Ably's that matter, and [`ARCHIVE`] where it published a message.
    pub headers: HeaderMap,
    /// As Ably sent it: JSON where the content type says so.
    pub body: Bytes,
    /// What became of the message; `None` where none was published.
    pub archive: Option<Archive>,
}

/// What became of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// The table has it.
    Stored,
    /// The failure queue has it.
    Parked,
    /// Neither. Its room is in the queue of those to be reconciled, where there is one.
    NotStored,
    /// `ROOM_FILTER` leaves its room out.
    Skipped,
}

impl Archive {
    /// The header's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Parked => "parked",
            Self::NotStored => "not-stored",
            Self::Skipped => "skipped",
        }
    }
}

impl Published {
    /// What Ably answered.
    pub(super) fn answered(answer: Answer, archive: Option<Archive>) -> Self {
        let mut headers = HeaderMap::new();
        for name in HANDED_BACK.map(HeaderName::from_static) {
            for value in answer.headers.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        if let Some(archive) = archive {
            headers.insert(ARCHIVE, HeaderValue::from_static(archive.as_str()));
        }
        Self { status: answer.status, headers, body: answer.body, archive }
    }

    /// An error of this server's, as Ably would say it.
    pub(super) fn refused(error: &ApiError) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-ably-errorcode", HeaderValue::from(error.code));
        if let Ok(message) = HeaderValue::from_str(&error.message) {
            headers.insert("x-ably-errormessage", message);
        }
        let status = StatusCode::from_u16(error.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers, body: error.json().into(), archive: None }
    }
}
