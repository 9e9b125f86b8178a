//! What can go wrong with a request to Ably, in Ably's own terms.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// A request that failed, after the retries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestError {
    /// What was asked for: the path, without the query.
    pub path: String,
    /// HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// Ably's error code.
    pub code: Option<u32>,
    /// What Ably says, or why there was no answer.
    pub message: String,
    /// Where Ably explains it.
    pub href: Option<String>,
    /// How long Ably asks to wait.
    pub(super) retry_after: Option<Duration>,
    pub(super) kind: Kind,
    /// Whether a smaller page may come through where this one did not.
    pub(super) is_of_size: bool,
    /// The page was not read, for it has more bytes than there is room for now.
    pub(super) lacks_room_for: Option<usize>,
}

/// Whether the same request may succeed later, or elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Permanent,
    Transient,
    /// An answer that is not the API's: cut short, or the page of a proxy that may stay in the way.
    Unreadable,
}

impl std::error::Error for RestError {}

impl fmt::Display for RestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ably, GET {}: ", self.path)?;
        match (self.code, self.status) {
            (Some(code), Some(status)) => write!(f, "error {code} (status {status}): ")?,
            (None, Some(status)) => write!(f, "status {status}: ")?,
            (_, None) => {}
        }
        f.write_str(&self.message)?;
        if let Some(advice) = self.advice() {
            write!(f, "; {advice}")?;
        }
        self.href.iter().try_for_each(|href| write!(f, " ({href})"))
    }
}

/// `error` of an answer (Chat REST API, "ErrorInfo").
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorInfo {
    message: Option<String>,
    code: Option<u32>,
    href: Option<String>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorInfo,
}

/// Longest message of Ably's that is worth showing.
const MAX_MESSAGE: usize = 300;

impl RestError {
    /// There was no answer.
    pub(super) fn no_answer(path: &str, error: &reqwest::Error) -> Self {
        let causes =
            std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        // The outermost names the URL, which holds the query.
        let cause = causes.last().map_or_else(|| "no answer".to_owned(), ToString::to_string);
        let message = if error.is_timeout() { "no answer in time".to_owned() } else { cause };
        let is_of_size = !error.is_connect();
        Self { path: path.into(), message, kind: Kind::Transient, is_of_size, ..Self::default() }
    }

    /// The answer says no. Some errors are in the headers alone (42922).
    pub(super) fn refused(
        path: &str,
        status: u16,
        header: impl Fn(&str) -> Option<String>,
        body: &[u8],
    ) -> Self {
        let info = serde_json::from_slice::<ErrorBody>(body).map(|body| body.error);
        let info = info.unwrap_or_default();
        let message = info.message.or_else(|| header("x-ably-errormessage"));
        let message = message.unwrap_or_else(|| "no reason given".into());
        let of_cloudfront = header("server").is_some_and(|server| server == "CloudFront");
        let code = info.code.or_else(|| header("x-ably-errorcode")?.parse().ok());
        // RSC15l: 500 to 504, or anything from CloudFront. Rate limits, that of enumerations
        // (42912) included, end with time (Ably error registry).
        let is_limit = is_rate_limit(Some(status), code);
        let is_transient = is_limit || (500..=599).contains(&status) || of_cloudfront;
        Self {
            path: path.into(),
            status: Some(status),
            code,
            message: message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect(),
            href: info.href.filter(|href| href.starts_with("https://")),
            retry_after: header("retry-after")
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(Duration::from_secs),
            kind: if is_transient { Kind::Transient } else { Kind::Permanent },
            ..Self::default()
        }
    }

    /// The answer is no JSON array.
    pub(super) fn unreadable(path: &str, status: u16, message: String) -> Self {
        let kind = Kind::Unreadable;
        Self { kind, is_of_size: true, ..Self::senseless(path, status, message) }
    }

    /// The page has at least this number of bytes, and there is no room for them.
    pub(super) fn no_room(path: &str, bytes: usize) -> Self {
        let lacks_room_for = Some(bytes);
        Self { lacks_room_for, ..Self::senseless(path, 200, format!("a page of {bytes} bytes")) }
    }

    /// The answer makes no sense, and would not another time.
    pub(super) fn senseless(path: &str, status: u16, message: String) -> Self {
        Self { path: path.into(), status: Some(status), message, ..Self::default() }
    }

    /// Whether the same request may succeed later. It was tried again for some minutes.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind != Kind::Permanent
    }

    /// Whether the limit that was hit is the account's: another host would say the same.
    pub(super) fn is_of_account(&self) -> bool {
        is_rate_limit(self.status, self.code)
    }

    /// Whether no channel or room can have the name that was asked for (Ably error registry).
    #[must_use]
    pub fn is_of_name(&self) -> bool {
        matches!(self.code, Some(40_010 | 102_000))
    }

    /// Whether the key may not do this; it may do other things.
    #[must_use]
    pub fn lacks_capability(&self) -> bool {
        self.code == Some(40_160)
    }

    /// Whether it is the key that is refused, whatever is asked for: nothing else will work either.
    #[must_use]
    pub fn is_of_key(&self) -> bool {
        self.status == Some(401) && !self.lacks_capability()
    }

    /// Resources are rooms; `*` does not cover metachannels (Ably docs, "Capabilities").
    fn advice(&self) -> Option<&'static str> {
        match self.code {
            Some(40_160) if self.path == "/channels" => {
                Some("the key lacks a capability: it needs `channel-metadata` on `*`")
            }
            Some(40_160) if self.path.starts_with("/channels/%5Bmeta%5D") => Some(
                "the key lacks a capability: it needs `history` on `[meta]*`, which `*` is not",
            ),
            Some(40_160) => Some("the key lacks a capability: it needs `history` on the rooms"),
            _ if self.is_of_key() => Some("ABLY_API_KEY is refused"),
            _ => None,
        }
    }
}

fn is_rate_limit(status: Option<u16>, code: Option<u32>) -> bool {
    status == Some(429) || matches!(code, Some(42_900..=42_999))
}
