//! Of which Ably app a caller's credentials are. Ably alone can check them; but a message of
//! another app's room must not get into this table, and each form of credentials says which app it
//! is of (Ably docs, "JWTs", "Token authentication").

use axum::http::{HeaderMap, Uri, header};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::history::auth::decode_text;

/// Query parameters that Ably takes for credentials (Ably docs, "REST API").
const CREDENTIALS: [&str; 3] = ["key", "access_token", "accessToken"];

/// The app that a request's credentials are of; `None` if that cannot be told.
pub(super) fn app(headers: &HeaderMap) -> Option<String> {
    let (scheme, credentials) =
        headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => app_of(&decode_text(credentials)?),
        "bearer" => app_of_token(credentials),
        _ => None,
    }
}

/// Whether a request has credentials in its query, where Ably would take them too.
pub(super) fn has_credentials(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default().as_bytes();
    form_urlencoded::parse(query).any(|(name, _)| CREDENTIALS.contains(&&*name))
}

/// That of a token. It comes as it is or in base64, in which it has no dot (features spec RSA3b).
fn app_of_token(text: &str) -> Option<String> {
    let token = if text.contains('.') { text.to_owned() } else { decode_text(text)? };
    match token.split('.').collect::<Vec<_>>()[..] {
        [header, claims, _] => app_of_jwt(header, claims),
        // Ably's own form: the app, and what nobody else can read.
        [_, _] => app_of(&token),
        _ => None,
    }
}

/// That of a JWT, if a key signs it; not, if it holds a token of whatever app.
fn app_of_jwt(header: &str, claims: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Header {
        kid: String,
        #[serde(rename = "x-ably-token")]
        token: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Claims {
        #[serde(rename = "x-ably-token")]
        token: Option<IgnoredAny>,
    }
    let (header, claims): (Header, Claims) = (part(header)?, part(claims)?);
    if header.token.is_some() || claims.token.is_some() {
        return None;
    }
    app_of(&header.kid)
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(&decode_text(text.trim())?).ok()
}

/// The app in the name of a key, or in a token.
pub(super) fn app_of(name: &str) -> Option<String> {
    let (app, _) = name.split_once('.')?;
    let is_app = !app.is_empty()
        && app.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-');
    is_app.then(|| app.to_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;
    use crate::ably::BASE64;

    fn base64(text: &str) -> String {
        BASE64.encode(text)
    }

    fn app(authorization: &str) -> Option<String> {
        let value = header::HeaderValue::from_bytes(authorization.as_bytes()).unwrap();
        super::app(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
    }

    #[test]
    fn every_form_of_credentials_names_its_app() {
        let ours = Some("app".to_owned());
        assert_eq!(app(&format!("Basic {}", base64("app.key:s3cret.x"))), ours);
        assert_eq!(app("Bearer app.xxxx"), ours);
        assert_eq!(app(&format!("bearer {}", base64("app.xxxx"))), ours);
        let jwt = |header: &str, claims: &str| {
            format!("{}.{}.c2ln", base64(header), base64(claims).trim_end_matches('='))
        };
        let signed = jwt(r#"{"alg":"HS256","kid":"app.key"}"#, r#"{"x-ably-clientId":"bob"}"#);
        assert_eq!(app(&format!("Bearer {signed}")), ours);
        assert_eq!(app(&format!("Bearer {}", base64(&signed))), ours);
        for (header, claims) in [
            (r#"{"kid":"app.key","x-ably-token":"other.x"}"#, "{}"),
            (r#"{"kid":"app.key"}"#, r#"{"x-ably-token":"other.x"}"#),
            (r#"{"kid":"app.key","kid":"other.key"}"#, "{}"),
            (r#"{"kid":"key"}"#, "{}"),
            ("{}", "{}"),
            ("[", "{}"),
        ] {
            assert_eq!(app(&format!("Bearer {}", jwt(header, claims))), None);
        }
        for odd in
            ["", "Basic", "Basic x", "Digest app.key", "Bearer a.b.c.d", "Bearer .x", "Bearer é"]
        {
            assert_eq!(app(odd), None, "{odd}");
        }
    }

    #[test]
    fn credentials_in_the_query_are_seen() {
        for query in ["/?key=a.b:c", "/?x=1&k%65y=a", "/?access_token=x", "/?accessToken="] {
            assert!(has_credentials(&query.parse().unwrap()), "{query}");
        }
        assert!(!has_credentials(&Uri::from_static("/?idempotencyKey=x&keys=1")));
    }
}
