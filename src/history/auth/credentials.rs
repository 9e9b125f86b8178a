//! What `Authorization` holds: Basic with an API key, or Bearer with a token.

use super::encoding;
use super::jwt::{self, Jwt};
use super::request::Request;
use crate::history::error::ApiError;

/// The forms of credentials. They hold secrets, and have no `Debug`.
pub(super) enum Credentials {
    Key(Key),
    Jwt(Jwt),
    Opaque(Opaque),
}

/// An API key, as the caller gives it.
pub(super) struct Key {
    /// `APPID.KEYID`.
    pub(super) name: String,
    pub(super) secret: String,
}

/// A token that Ably alone can read.
pub(super) struct Opaque {
    /// `APPID.…`, of one dot and no character that another encoding would need, so that nobody
    /// takes it for something else.
    pub(super) token: String,
    /// What stands before the dot.
    pub(super) app_id: String,
    /// Whether it came in a JWT, which anybody may have signed (Ably docs, "Token auth").
    pub(super) is_embedded: bool,
}

impl Credentials {
    /// Reads a request's header.
    pub(super) fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        let header = request.headers.get("authorization").ok_or_else(|| {
            ApiError::refused(
                "no credentials: send an Ably API key (Basic) or an Ably JWT (Bearer)",
            )
        })?;
        let credentials = Self::read(header.to_str().map_err(|_| malformed())?)?;
        // A load balancer says so; a function URL knows nothing but TLS.
        let protocol = request.header("x-forwarded-proto").and_then(|it| it.split(',').next());
        let is_plain = protocol.is_some_and(|it| it.trim().eq_ignore_ascii_case("http"));
        match credentials {
            Self::Key(_) if is_plain => {
                Err(ApiError::new(401, 40_103, "API keys are taken over TLS only: use https"))
            }
            credentials => Ok(credentials),
        }
    }

    /// Reads the header's text.
    pub(super) fn read(header: &str) -> Result<Self, ApiError> {
        let (scheme, value) = header.trim().split_once(' ').ok_or_else(malformed)?;
        let value = value.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => Key::read(value).map(Self::Key).ok_or_else(malformed),
            // As it is, or in base64, which has no dots (features spec RSA3b).
            "bearer" if value.contains('.') => Self::of_token(value),
            "bearer" => Self::of_token(&encoding::decode_text(value).ok_or_else(malformed)?),
            _ => Err(malformed()),
        }
    }

    fn of_token(token: &str) -> Result<Self, ApiError> {
        match *token.split('.').collect::<Vec<_>>() {
            [_, _] => Opaque::read(token, false).map(Self::Opaque),
            [header, claims, signature] => match jwt::read(header, claims, signature)? {
                jwt::Read::Jwt(jwt) => Ok(Self::Jwt(jwt)),
                jwt::Read::Embedded(token) => Opaque::read(&token, true).map(Self::Opaque),
            },
            _ => Err(malformed()),
        }
    }
}

impl Key {
    fn read(value: &str) -> Option<Self> {
        let text = encoding::decode_text(value)?;
        let (name, secret) = text.split_once(':')?;
        Some(Self { name: name.into(), secret: secret.into() })
    }
}

impl Opaque {
    fn read(token: &str, is_embedded: bool) -> Result<Self, ApiError> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let parts = token.split_once('.').filter(|(app, rest)| is_plain(app) && is_plain(rest));
        let (app_id, _) = parts.ok_or_else(malformed)?;
        Ok(Self { token: token.into(), app_id: app_id.into(), is_embedded })
    }
}

fn malformed() -> ApiError {
    ApiError::refused(
        "Authorization is neither Basic with an Ably API key, APPID.KEYID:SECRET in base64, nor \
         Bearer with an Ably token, as it is or in base64",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(header: &str) -> &'static str {
        match Credentials::read(header) {
            Ok(Credentials::Key(_)) => "key",
            Ok(Credentials::Jwt(_)) => "jwt",
            Ok(Credentials::Opaque(_)) => "opaque",
            Err(error) => {
                assert_eq!((error.status, error.code), (401, 40_101), "{error}");
                "none"
            }
        }
    }

    #[test]
    fn tokens_come_as_they_are_or_in_base64() {
        for header in ["Bearer app.t0ken-_", "bearer  app.t0ken", "Bearer YXBwLnQwa2Vu"] {
            assert_eq!(kind(header), "opaque", "{header}");
        }
        let Ok(Credentials::Opaque(it)) = Credentials::read("Bearer YXBwLnQwa2Vu") else {
            panic!("an opaque token")
        };
        assert_eq!((it.token.as_str(), it.app_id.as_str()), ("app.t0ken", "app"));
        assert!(!it.is_embedded);
    }

    #[test]
    fn keys_come_in_base64() {
        // a.b:c, padded and not
        assert_eq!((kind("Basic YS5iOmM="), kind("BASIC YS5iOmM")), ("key", "key"));
    }

    #[test]
    fn what_has_neither_form_is_refused() {
        let wrong = [
            "",
            "Basic",
            "Basic ",
            "Bearer",
            "Bearer ",
            "Bearer .",
            "Bearer app.",
            "Bearer .t",
            "Bearer a.b.c",
            "Bearer a.b.c.d",
            "Bearer a.b.c.d.e",
            "Bearer !",
            "Bearer YQ==",
            "Bearer app.to/ken",
            "Bearer app.to ken",
            "Digest app.t0ken",
            "Basic a.b:c",
            "app.t0ken",
            "Basic YQ==",
        ];
        for header in wrong {
            assert_eq!(kind(header), "none", "{header}");
        }
    }
}
