//! Ably JWTs (Ably docs, "JWTs"; RFC 7519): read here, and verified by `keys`, over the text as it
//! was sent.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::capability::Capability;
use super::encoding;
use crate::history::error::ApiError;

/// The one algorithm (Ably docs, "JWTs"). Never `none`, and none with public keys: there are none.
const ALGORITHM: &str = "HS256";
/// How far the clock of who made a token may be off, in seconds (`ably-server`).
const SKEW: f64 = 60.0;
/// The longest life of a token, in seconds (Ably docs, "Token auth"). That those of revocable keys
/// may live an hour at most, only Ably knows.
const LONGEST_LIFE: f64 = 86_400.0;

/// A JWT whose signature is not verified yet.
pub(super) struct Jwt {
    /// `kid`: the name of the key that is to have signed it.
    pub(super) key_name: String,
    /// What is signed.
    pub(super) text: String,
    pub(super) signature: Vec<u8>,
    issued: f64,
    expires: f64,
    /// `x-ably-capability`; without it, the key's counts (`ably-server`).
    pub(super) capability: Option<Capability>,
    /// `x-ably-clientId`.
    pub(super) client_id: Option<String>,
}

/// What a text of three parts is.
pub(super) enum Read {
    Jwt(Jwt),
    /// A JWT of anybody's that carries an Ably token (Ably docs, "Token auth"): that token.
    Embedded(String),
}

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515): none is.
    crit: Option<IgnoredAny>,
    #[serde(rename = "x-ably-token")]
    token: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iat: Option<f64>,
    exp: Option<f64>,
    /// A string of JSON. `null` is none of those, and must not mean everything.
    #[serde(rename = "x-ably-capability", default, deserialize_with = "text")]
    capability: Option<String>,
    #[serde(rename = "x-ably-clientId")]
    client_id: Option<String>,
    #[serde(rename = "x-ably-token")]
    token: Option<String>,
}

/// Reads a token's three parts.
pub(super) fn read(header: &str, claims: &str, signature: &str) -> Result<Read, ApiError> {
    let text = format!("{header}.{claims}");
    let header: Header = json(header, "the JWT's header is not the JSON of one, in base64")?;
    let claims: Claims = json(
        claims,
        "the JWT's claims are not those of an Ably JWT, in JSON and base64: iat and exp are \
         numbers, x-ably-capability a string of JSON, x-ably-clientId a string",
    )?;
    if let Some(token) = header.token.or(claims.token) {
        return Ok(Read::Embedded(token));
    }
    if header.alg.as_deref() != Some(ALGORITHM) || header.crit.is_some() {
        return refused("the JWT's alg is not HS256, or it has crit");
    }
    let (Some(key_name), Some(issued), Some(expires)) = (header.kid, claims.iat, claims.exp) else {
        return refused("the JWT lacks kid (in its header), iat or exp (in its claims)");
    };
    if !(0.0..=LONGEST_LIFE).contains(&(expires - issued)) {
        return refused("the JWT's exp is not within 24 hours from its iat, in seconds");
    }
    let capability = match claims.capability {
        Some(text) => match Capability::parse(&text) {
            None => return refused("the JWT's x-ably-capability is not the JSON of one"),
            capability => capability,
        },
        None => None,
    };
    let Some(signature) = encoding::decode(signature) else {
        return refused("the JWT's signature is not base64");
    };
    let client_id = claims.client_id;
    Ok(Read::Jwt(Jwt { key_name, text, signature, issued, expires, capability, client_id }))
}

impl Jwt {
    /// Checks that now is within its life. That it has expired has a code of its own, at which SDKs
    /// get a new one (features spec RSC10).
    pub(super) fn check_times(&self, now_ms: i64) -> Result<(), ApiError> {
        #[expect(clippy::cast_precision_loss, reason = "ms are exact for 285,000 years")]
        let now = now_ms as f64 / 1_000.0;
        if self.issued > now + SKEW {
            return refused("the JWT's iat, in seconds since 1970, is still to come");
        }
        if now >= self.expires + SKEW {
            return Err(ApiError::new(401, 40_142, "the token has expired"));
        }
        Ok(())
    }
}

fn json<T: DeserializeOwned>(part: &str, otherwise: &'static str) -> Result<T, ApiError> {
    let json = encoding::decode(part);
    json.and_then(|json| serde_json::from_slice(&json).ok()).map_or_else(|| refused(otherwise), Ok)
}

fn text<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

fn refused<T>(message: &'static str) -> Result<T, ApiError> {
    Err(ApiError::refused(message))
}
