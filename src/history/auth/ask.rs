//! Opaque tokens: Ably is asked, by reading one message of the room with the token. What it answers
//! honours the key's capability and revocation too.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use base64::Engine;

use super::credentials::Opaque;
use super::identity::CLIENT_ID_HEADER;
use super::rate::RateLimit;
use super::recent::{Digest, Recent, digest};
use super::request::Request;
use crate::ably::BASE64;
use crate::history::error::ApiError;
use crate::history::upstream::{Answer, Upstream};
use crate::rest::{room_path, segment};

/// Half of what Ably's SDKs wait (features spec TO3l4): the table is read after it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks Ably, and remembers for a minute what it took.
#[derive(Debug)]
pub(super) struct Questions {
    taken: Recent,
    refused: Recent,
    limit: RateLimit,
}

impl Questions {
    pub(super) fn new() -> Self {
        Self {
            taken: Recent::default(),
            refused: Recent::default(),
            limit: RateLimit::of_questions(),
        }
    }

    /// Checks that Ably lets the token's bearer read the room.
    ///
    /// # Errors
    /// When Ably does not: what it answered. When it does not answer: 503.
    pub(super) async fn check(
        &self,
        upstream: &Upstream,
        request: &Request<'_>,
        token: &Opaque,
    ) -> Result<(), ApiError> {
        let question = question(request, token);
        if self.taken.count(&question) > 0 {
            return Ok(());
        }
        if self.refused.count(&question) > 0 {
            return Err(ApiError::refused("Ably has refused this token a moment ago"));
        }
        let path = path(request)?;
        self.limit.take(&token.app_id)?;
        let headers = headers(request, token);
        let asked = upstream.send(&Method::GET, &path, &headers, Bytes::new(), PATIENCE).await;
        let reason = match asked {
            Ok(answer) if answer.status.is_success() => {
                self.taken.add(question);
                return Ok(());
            }
            Ok(answer) if answer.status.is_client_error() => {
                return Err(self.refused(question, &answer));
            }
            Ok(Answer { status, .. }) => format!("status {}", status.as_u16()),
            Err(unreached) => unreached.to_string(),
        };
        tracing::warn!(reason, "Ably could not be asked about a token");
        Err(ApiError::unavailable("Ably, which alone can read this token, does not answer"))
    }

    /// What Ably answered. A token that it does not know is asked about once a minute.
    fn refused(&self, question: Digest, answer: &Answer) -> ApiError {
        let error = ApiError::of_ably(answer);
        if error.code == 40_101 {
            self.refused.add(question);
        }
        error
    }
}

/// What the answer depends on.
fn question(request: &Request<'_>, token: &Opaque) -> Digest {
    let header = request.headers.get(CLIENT_ID_HEADER).map(HeaderValue::as_bytes);
    digest(&[
        token.token.as_bytes(),
        header.unwrap_or_default(),
        request.query_client_id.unwrap_or_default().as_bytes(),
        request.room.0.as_bytes(),
    ])
}

/// A message of the room. `.` and `..` are taken for steps in the path, encoded or not (WHATWG
/// URL).
fn path(request: &Request<'_>) -> Result<String, ApiError> {
    let path = room_path(request.room).ok_or_else(|| {
        ApiError::refused(
            "Ably's API has no path for this room, so it cannot be asked about this token: use an \
             Ably JWT or an API key",
        )
    })?;
    let path = format!("{path}/messages?limit=1");
    Ok(match request.query_client_id {
        Some(name) => format!("{path}&clientId={}", segment(name)),
        None => path,
    })
}

/// The caller's headers, with the token in the form that SDKs send: Ably is to see that very token,
/// however it reads what the caller wrote around it.
fn headers(request: &Request<'_>, token: &Opaque) -> HeaderMap {
    let mut headers = request.headers.clone();
    let value = HeaderValue::try_from(format!("Bearer {}", BASE64.encode(&token.token)));
    let mut value = value.expect("base64 is text");
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    headers
}
