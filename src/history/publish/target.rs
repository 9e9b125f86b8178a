//! Where a request goes at Ably: the same path and query, byte for byte, but for what would change
//! the answer's form, and unless it would not arrive as it came.

use axum::http::Uri;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::chat::Serial;
use crate::history::error::ApiError;

/// What browsers, and other clients, ask of the form of the answer: it is read here, and given
/// another form where it is wanted.
const OF_THE_ANSWER: [&str; 2] = ["envelope", "format"];

/// Path and query for Ably.
pub(super) fn of(uri: &Uri) -> Result<String, ApiError> {
    let path = uri.path();
    // Whatever reads a URL takes `..` and `\` for something else: the room would be another one.
    let arrives = Url::parse(&format!("https://ably{path}")).is_ok_and(|url| url.path() == path);
    if !arrives {
        return Err(ApiError::not_found("no path of Ably's: \".\" and \"..\" cannot be names"));
    }
    let Some(query) = uri.query() else { return Ok(path.to_owned()) };
    let is_kept = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        !name.is_some_and(|name| OF_THE_ANSWER.contains(&&*name))
    };
    let kept: Vec<_> = query.split('&').filter(is_kept).collect();
    match kept.is_empty() {
        true => Ok(path.to_owned()),
        false => Ok(format!("{path}?{}", kept.join("&"))),
    }
}

/// The message that is updated or deleted: `/chat/v4/rooms/{room}/messages/{serial}`.
pub(super) fn serial(uri: &Uri) -> Option<Serial> {
    let serial = uri.path().split('/').nth(6).filter(|serial| !serial.is_empty())?;
    Some(Serial(percent_decode_str(serial).decode_utf8().ok()?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_go_as_they_came() {
        let go = |uri: &str| of(&uri.parse().unwrap()).map_err(|error| error.status);
        let uri = "/chat/v4/rooms/a%2Fb%3F%25é+!'()*~:@$&,;=/messages?idempotencyKey=a%2Bb/+c&x";
        let uri = uri.replace('é', "%C3%A9");
        assert_eq!(go(&uri), Ok(uri.clone()));
        assert_eq!(go("/a?envelope=json&rnd=7&format=x&%65nvelope=json"), Ok("/a?rnd=7".into()));
        assert_eq!(go("/a?envelope=json"), Ok("/a".into()));
        assert_eq!(go("//elsewhere.example/a"), Ok("//elsewhere.example/a".into()));
        for uri in ["/a/../b", "/a/%2e%2E/b", "/a/./b", "/a/.", "/a\\b", "*"] {
            assert_eq!(go(uri), Err(404), "{uri}");
        }
    }

    #[test]
    fn the_serial_is_in_the_path() {
        let found = |uri: &str| serial(&uri.parse().unwrap()).map(|serial| serial.0);
        let message = "/chat/v4/rooms/r/messages/1-0%40a%3A000";
        assert_eq!(found(message).as_deref(), Some("1-0@a:000"));
        assert_eq!(found(&format!("{message}/delete")).as_deref(), Some("1-0@a:000"));
        assert_eq!(found("/chat/v4/rooms/r/messages"), None);
    }
}
