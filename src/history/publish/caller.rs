//! Of which Ably app a caller's credentials are. Ably alone can check them; but a message of
//! another app's room must not get into this table, and each form of credentials says which app it
//! is of (Ably docs, "JWTs", "Token authentication").

use axum::http::{HeaderMap, Uri, header};
use base64::Engine;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::ably::BASE64;

/// Query parameters that Ably takes for credentials (Ably docs, "REST API").
const CREDENTIALS: [&str; 3] = ["key", "access_token", "accessToken"];

/// What a request says of its sender, before Ably has checked any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caller {
    /// The app that the credentials are of; `None` if that cannot be told.
    pub(super) app: Option<String>,
}

impl Caller {
    /// Reads the headers of a request.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        let (scheme, credentials) =
            authorization.and_then(|it| it.split_once(' ')).unwrap_or_default();
        let credentials = credentials.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => Self { app: decoded(credentials).and_then(|key| app_of(&key)) },
            "bearer" => of_token(credentials),
            _ => Self::default(),
        }
    }
}

/// Whether a request has credentials in its query, where Ably would take them too.
pub(super) fn has_credentials(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default().as_bytes();
    form_urlencoded::parse(query).any(|(name, _)| CREDENTIALS.contains(&&*name))
}

/// What a token says. It comes as it is or in base64, in which it has no dot (features spec RSA3b).
fn of_token(text: &str) -> Caller {
    let token = if text.contains('.') { Some(text.to_owned()) } else { decoded(text) };
    let token = token.unwrap_or_default();
    match token.split('.').collect::<Vec<_>>()[..] {
        [header, claims, _] => of_jwt(header, claims).unwrap_or_default(),
        // Ably's own form: the app, and what nobody else can read.
        [_, _] => Caller { app: app_of(&token) },
        _ => Caller::default(),
    }
}

/// What a JWT says, if it is signed by a key; not, if it holds a token of whatever app.
fn of_jwt(header: &str, claims: &str) -> Option<Caller> {
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
    Some(Caller { app: app_of(&header.kid) })
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(&decoded(text)?).ok()
}

/// The app in the name of a key, or in a token.
pub(super) fn app_of(name: &str) -> Option<String> {
    let (app, _) = name.split_once('.')?;
    let is_app = !app.is_empty()
        && app.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-');
    is_app.then(|| app.to_owned())
}

/// Text in base64 of either alphabet.
fn decoded(text: &str) -> Option<String> {
    let standard = text.trim().replace('-', "+").replace('_', "/");
    String::from_utf8(BASE64.decode(standard).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(text: &str) -> String {
        BASE64.encode(text)
    }

    fn app(authorization: &str) -> Option<String> {
        let value = header::HeaderValue::from_bytes(authorization.as_bytes()).unwrap();
        Caller::of(&HeaderMap::from_iter([(header::AUTHORIZATION, value)])).app
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
