//! `data` and its `encoding` chain (features spec RSL4, RSL6, RSL6b): decoded as far as it goes.
//! What cannot be decoded is kept as it is, with the undone rest of the chain; no message is lost
//! because its payload is strange.

use std::fmt;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::value::RawValue;

use crate::ably::json::{self, Kind};
use crate::ably::members::Members;
use crate::chat::{Data, JsonText, RawData};
use crate::mistake::Mistake;

/// Standard alphabet; writes padding and does not insist on it.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Bytes of the initialisation vector before an encrypted payload (features spec RSE).
const IV_BYTES: usize = 16;

/// A key of Ably's message encryption: AES-CBC, 128 or 256 bits. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct CipherKey(Vec<u8>);

impl CipherKey {
    /// Reads a key from base64, the form in which Ably's SDKs make and show it; also from the
    /// URL-safe alphabet, as ably-js does (`Crypto.getDefaultParams`).
    ///
    /// # Errors
    /// When the text is not base64 of 16 or 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, Mistake> {
        let standard = text.trim().replace('-', "+").replace('_', "/");
        let key = BASE64.decode(standard).map_err(|_| "not base64")?;
        match key.len() {
            16 | 32 => Ok(Self(key)),
            length => Err(Mistake(format!(
                "{length} bytes once decoded; an AES key has 16 (aes-128) or 32 (aes-256)"
            ))),
        }
    }

    /// Undoes `cipher+aes-<bits>-cbc`: an initialisation vector, then AES-CBC with PKCS#7 padding.
    fn decrypt(&self, algorithm: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let (iv, ciphertext) = bytes.split_at_checked(IV_BYTES)?;
        match (algorithm, self.0.len()) {
            ("aes-128-cbc", 16) => cbc::Decryptor::<aes::Aes128>::new_from_slices(&self.0, iv)
                .ok()?
                .decrypt_padded_vec::<Pkcs7>(ciphertext)
                .ok(),
            ("aes-256-cbc", 32) => cbc::Decryptor::<aes::Aes256>::new_from_slices(&self.0, iv)
                .ok()?
                .decrypt_padded_vec::<Pkcs7>(ciphertext)
                .ok(),
            _ => None,
        }
    }
}

impl fmt::Debug for CipherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CipherKey({} bits)", self.0.len() * 8)
    }
}

/// A payload as Chat sees it, and what of it Chat cannot see.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) metadata: JsonText,
    pub(super) raw: Option<RawData>,
    pub(super) encoding_lost: bool,
}

/// Decodes `data` and fits it into Chat's `{text, metadata}`. An object shows its text whatever is
/// left of the chain, as in Ably's SDKs; what is left is kept.
pub(super) fn decode(
    data: Option<&RawValue>,
    encoding: Option<&str>,
    key: Option<&CipherKey>,
) -> Content {
    let Some(data) = data else { return Content::default() };
    let (value, residual) = run(Value::from_json(data), encoding.unwrap_or_default(), key);
    let encoding_lost = encoding.is_none_or(str::is_empty) && looks_like_chat(&value);
    let members = match &value {
        Value::Json(json) => Members::of(json),
        Value::Opaque(_) | Value::Text(_) | Value::Bytes(_) => None,
    };
    let content = match members {
        Some(members) => chat_fields(members, residual),
        None => Content { raw: Some(value.keep(residual)), ..Content::default() },
    };
    Content { encoding_lost, ..content }
}

/// A payload between two steps of its chain.
#[derive(Debug)]
enum Value {
    /// JSON that is not a string.
    Json(Box<RawValue>),
    /// JSON text that this program cannot read as a value (a string with a lone surrogate).
    Opaque(Box<RawValue>),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    fn from_json(raw: &RawValue) -> Self {
        if json::kind(raw) != Kind::String {
            return Self::Json(raw.to_owned());
        }
        match serde_json::from_str(raw.get()) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Opaque(raw.to_owned()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match Self::from_json(serde_json::from_str(text).ok()?) {
            Self::Opaque(_) => None,
            value => Some(value),
        }
    }

    /// One step; gives the value back where the step does not fit it.
    fn step(self, segment: &str) -> Result<Self, Self> {
        match (segment, self) {
            ("json", Self::Json(json)) => Ok(Self::Json(json)),
            ("json", Self::Text(text)) => Self::parse(&text).ok_or(Self::Text(text)),
            // As in ably-js under Node.js, whose parser takes bytes for UTF-8.
            ("json", Self::Bytes(bytes)) => {
                let value = str::from_utf8(&bytes).ok().and_then(Self::parse);
                value.ok_or(Self::Bytes(bytes))
            }
            ("base64", Self::Text(text)) => match BASE64.decode(&text) {
                Ok(bytes) => Ok(Self::Bytes(bytes)),
                Err(_) => Err(Self::Text(text)),
            },
            ("utf-8", Self::Bytes(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Self::Text(text)),
                Err(error) => Err(Self::Bytes(error.into_bytes())),
            },
            (_, value) => Err(value),
        }
    }

    /// The value in wire form: JSON becomes its text, with `json` as the step to undo first.
    fn keep(self, residual: Option<String>) -> RawData {
        match self {
            Self::Text(text) => RawData { data: Data::Text(text), encoding: residual },
            Self::Bytes(bytes) => RawData { data: Data::Bytes(bytes), encoding: residual },
            Self::Json(json) | Self::Opaque(json) => RawData {
                data: Data::Text(json.get().into()),
                encoding: Some(residual.map_or("json".into(), |rest| format!("{rest}/json"))),
            },
        }
    }
}

/// Walks the chain from right to left. On failure at segment *i* the rest is `0..=i` (RSL6b).
fn run(mut value: Value, encoding: &str, key: Option<&CipherKey>) -> (Value, Option<String>) {
    let mut undone = encoding;
    while !undone.is_empty() {
        let (rest, segment) = undone.rsplit_once('/').unwrap_or(("", undone));
        if let Some(algorithm) = segment.strip_prefix("cipher+") {
            return decrypted(&value, algorithm, rest, key)
                .map_or((value, Some(undone.into())), |plain| (plain, None));
        }
        match value.step(segment) {
            Ok(next) => value = next,
            Err(same) => return (same, Some(undone.into())),
        }
        undone = rest;
    }
    (value, None)
}

/// What is encrypted in `value`, decoded to the end. One wrong key in 256 leaves a padding that is
/// right by chance: what was decrypted counts only if the rest of the chain shows that the key was
/// the right one. Mere bytes show nothing, and stay encrypted.
fn decrypted(value: &Value, algorithm: &str, rest: &str, key: Option<&CipherKey>) -> Option<Value> {
    let Value::Bytes(bytes) = value else { return None };
    match run(Value::Bytes(key?.decrypt(algorithm, bytes)?), rest, key) {
        (Value::Bytes(_), _) | (_, Some(_)) => None,
        (plain, None) => Some(plain),
    }
}

fn looks_like_chat(value: &Value) -> bool {
    let Value::Text(text) = value else { return false };
    let json = serde_json::from_str::<&RawValue>(text).ok();
    json.and_then(Members::of).is_some_and(|mut it| it.take_if("text", Some).is_some())
}

/// Splits a JSON object into Chat's fields and the rest. The rest, if there is any, is kept as a
/// JSON object, so that nothing is stored twice and nothing is dropped; so is an undone chain.
pub(super) fn chat_fields(mut members: Members<'_>, residual: Option<String>) -> Content {
    let text = members.take_if("text", json::text);
    let metadata = members.take_if("metadata", json::object);
    let rest = members.left_as_json();
    let is_whole = rest.is_none() && text.is_some() && residual.is_none();
    let empty = || JsonText::default().into_raw();
    Content {
        text: text.unwrap_or_default(),
        metadata: metadata.unwrap_or_default(),
        raw: (!is_whole).then(|| Value::Json(rest.unwrap_or_else(empty)).keep(residual)),
        encoding_lost: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let text = "AAECAwQFBgcICQoLDA0ODw==";
        let key = CipherKey::from_base64(text).unwrap();
        assert_eq!(format!("{key:?}"), "CipherKey(128 bits)");
    }
}
