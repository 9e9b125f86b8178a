//! MessagePack to JSON: the same names (Ably docs "Outbound webhooks"), but that `data` may be real
//! binary. JSON has none, so it becomes what it is in Ably's own JSON: base64 text, with that step
//! added to `encoding` (features spec RSL4d1, RSL6a). Elsewhere Ably has no binary. What there is
//! becomes an object, which nothing takes for somebody's text: `{"base64":"…"}`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use rmp_serde::decode::Error;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, de};

use crate::ably::encoding::BASE64;
use crate::ably::error::PayloadError;

/// Levels of nesting. An envelope has six, and Ably carries a message's own as JSON text; a hostile
/// body must not be able to exhaust the stack.
const MAX_DEPTH: usize = 256;
/// Whole numbers that a double holds exactly are written as such.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The JSON text that says what `body` says.
pub(super) fn to_json(body: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let mut rest = body;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(MAX_DEPTH);
    let mut json = Vec::with_capacity(body.len() + body.len() / 4);
    let written = Writer { json: &mut json, is_data: false }.deserialize(&mut deserializer);
    written.map_err(|error| PayloadError::NotMessagePack(describe(&error)))?;
    match rest {
        [] => Ok(json),
        _ => Err(PayloadError::NotMessagePack("bytes follow its end")),
    }
}

/// What is wrong, without the value that it is wrong with.
fn describe(error: &Error) -> &'static str {
    match error {
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) | Error::LengthMismatch(_) => {
            "it ends early"
        }
        Error::DepthLimitExceeded => "it is nested more than 256 levels deep",
        _ => "it holds a byte, a type or a map key that Ably's events do not have",
    }
}

/// Writes one value.
struct Writer<'a> {
    json: &'a mut Vec<u8>,
    /// Whether it is a member `data`.
    is_data: bool,
}

/// What was written.
#[derive(PartialEq)]
enum Written {
    Bytes,
    Other,
}

impl Writer<'_> {
    fn write<T: Serialize + ?Sized, E: de::Error>(self, value: &T) -> Result<Written, E> {
        serde_json::to_writer(self.json, value).map_err(E::custom)?;
        Ok(Written::Other)
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = Written;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Written, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MessagePack value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Written, E> {
        self.write(&())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Written, E> {
        self.write(&value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Written, E> {
        self.write(&value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Written, E> {
        self.write(&value)
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<Written, E> {
        match value.fract() == 0.0 {
            true => self.visit_f64(value.into()),
            false => self.write(&value),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a whole number, and small enough")]
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Written, E> {
        match value.fract() == 0.0 && value.abs() < EXACT {
            true => self.write(&(value as i64)),
            false => self.write(&value),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Written, E> {
        self.write(value)
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<Written, E> {
        let text = BASE64.encode(value);
        if !self.is_data {
            return self.write(&BTreeMap::from([("base64", text)]));
        }
        self.write(&text)?;
        Ok(Written::Bytes)
    }

    /// An extension type: its number and its bytes.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<Written, D::Error> {
        Writer { is_data: false, ..self }.deserialize(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Written, A::Error> {
        self.json.push(b'[');
        let mut is_first = true;
        loop {
            let end = self.json.len();
            if !is_first {
                self.json.push(b',');
            }
            if elements.next_element_seed(Writer { json: self.json, is_data: false })?.is_none() {
                self.json.truncate(end);
                break;
            }
            is_first = false;
        }
        self.json.push(b']');
        Ok(Written::Other)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Written, A::Error> {
        // `encoding` is written last: binary `data` adds to it, and may come after it.
        let mut encoding = None;
        let mut is_binary = false;
        self.json.push(b'{');
        while let Some(name) = members.next_key::<String>()? {
            if name == "encoding" {
                let mut value = Vec::new();
                members.next_value_seed(Writer { json: &mut value, is_data: false })?;
                encoding = Some(value);
                continue;
            }
            self.name(&name)?;
            let value = Writer { json: self.json, is_data: name == "data" };
            let written = members.next_value_seed(value)?;
            is_binary |= name == "data" && written == Written::Bytes;
            self.json.push(b',');
        }
        let encoding = if is_binary { Some(with_base64(encoding.as_deref())) } else { encoding };
        if let Some(encoding) = encoding {
            self.name("encoding")?;
            self.json.extend(encoding);
        } else if self.json.last() == Some(&b',') {
            self.json.pop();
        }
        self.json.push(b'}');
        Ok(Written::Other)
    }
}

impl Writer<'_> {
    fn name<E: de::Error>(&mut self, name: &str) -> Result<(), E> {
        Writer { json: self.json, is_data: false }.write(name)?;
        self.json.push(b':');
        Ok(())
    }
}

/// An `encoding`, as JSON, with the step that the binary has just taken.
fn with_base64(encoding: Option<&[u8]>) -> Vec<u8> {
    match encoding {
        Some([b'"', inner @ .., b'"']) if !inner.is_empty() => {
            [b"\"", inner, b"/base64\""].concat()
        }
        _ => b"\"base64\"".to_vec(),
    }
}
