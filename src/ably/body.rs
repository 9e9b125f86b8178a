//! What a body is written in: JSON; MessagePack, as the rule's "Encoding" has it; or either of them
//! as base64 text, where the way from Ably carries text only. All become JSON text.

use std::borrow::Cow;

use base64::Engine;

use crate::ably::encoding::BASE64;
use crate::ably::error::PayloadError;
use crate::ably::msgpack;

/// A delivered body as JSON, whatever it came in.
#[derive(Debug)]
pub struct Body<'a>(Cow<'a, [u8]>);

impl<'a> Body<'a> {
    /// Reads what was delivered.
    ///
    /// # Errors
    /// When it is in none of the forms that Ably uses. Whether it is JSON is seen once it is
    /// decoded.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PayloadError> {
        json(bytes).map(Self)
    }

    pub(super) fn json(&self) -> &[u8] {
        &self.0
    }
}

/// The JSON of a body. What is none of the three is handed on as it is, for the JSON reader to say
/// what is wrong with it.
fn json(body: &[u8]) -> Result<Cow<'_, [u8]>, PayloadError> {
    match Form::of(body) {
        Form::Json => Ok(Cow::Borrowed(body)),
        Form::MessagePack => msgpack::to_json(body).map(Cow::Owned),
        Form::Gzip => Err(PayloadError::Compressed),
        Form::Text => match from_base64(body) {
            Some(inner) => json(&inner).map(|json| Cow::Owned(json.into_owned())),
            None => Ok(Cow::Borrowed(body)),
        },
    }
}

enum Form {
    /// Begins as an object.
    Json,
    /// Begins as a map.
    MessagePack,
    Gzip,
    /// Anything else.
    Text,
}

impl Form {
    /// Identified by the first byte: what an envelope begins with in one form, it cannot in
    /// another.
    fn of(body: &[u8]) -> Self {
        match body.trim_ascii_start() {
            [b'{', ..] => Self::Json,
            [0x80..=0x8f | 0xde | 0xdf, ..] => Self::MessagePack,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Text,
        }
    }
}

/// What base64 text holds, if that is an envelope in some form; the text may be a JSON string.
fn from_base64(body: &[u8]) -> Option<Vec<u8>> {
    let text = match serde_json::from_slice::<String>(body) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(body),
    };
    let inner = BASE64.decode(text.trim_ascii()).ok()?;
    match Form::of(&inner) {
        Form::Text => None,
        Form::Json | Form::MessagePack | Form::Gzip => Some(inner),
    }
}
