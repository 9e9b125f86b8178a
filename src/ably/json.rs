//! Typed reading of JSON that names the path of what is wrong and never quotes its value.

use std::fmt;

use serde_json::value::RawValue;

use crate::chat::JsonText;

/// Where in a payload something stands. Written out only for an error, so that keeping it costs a
/// good payload nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'static str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) fn member(&'a self, name: &'static str) -> Self {
        Self::Member(self, name)
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A value of the wrong type, by its JSON path.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Mistyped {
    /// Where, for example `$.messages[0].serial`.
    pub path: String,
    /// What was expected.
    pub reason: String,
}

impl Mistyped {
    pub(super) fn new(path: &Path<'_>, reason: impl Into<String>) -> Self {
        Self { path: path.to_string(), reason: reason.into() }
    }
}

/// A string; `None` also where no string of Rust's can hold it: half of a surrogate pair.
pub(super) fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A boolean.
pub(super) fn boolean(raw: &RawValue) -> Option<bool> {
    serde_json::from_str(raw.get()).ok()
}

/// An object, as its text.
pub(super) fn object(raw: &RawValue) -> Option<JsonText> {
    (kind(raw) == Kind::Object).then(|| JsonText::from_raw(raw))
}

/// The elements of an array.
pub(super) fn array<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<Vec<&'a RawValue>, Mistyped> {
    serde_json::from_str(raw.get()).map_err(|_| Mistyped::new(path, "expected an array"))
}

/// A whole number in any spelling: `2`, `2.0` and `0.2e1` are the same number to JSON.
pub(super) fn whole<T: TryFrom<i128>>(raw: &RawValue) -> Option<T> {
    if kind(raw) != Kind::Number {
        return None;
    }
    T::try_from(whole_number(raw.get())?).ok()
}

fn whole_number(text: &str) -> Option<i128> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (units, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{units}{fraction}");
    let significant = digits.trim_end_matches('0');
    if matches!(significant, "" | "-") {
        return Some(0);
    }
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let places = i64::from(exponent.parse::<i32>().ok()?) + dropped;
    let zeros = u32::try_from(places - i64::try_from(fraction.len()).ok()?).ok()?;
    significant.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(zeros)?)
}

/// What kind of JSON value `raw` holds, identified by its first byte.
pub(super) fn kind(raw: &RawValue) -> Kind {
    match raw.get().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Kind {
    pub(super) fn with_article(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_in_every_spelling() {
        let read = |json: &str| whole::<i64>(&RawValue::from_string(json.into()).unwrap());
        for (json, number) in [
            ("0", 0),
            ("-0", 0),
            ("0.0", 0),
            ("-0e9", 0),
            ("1.0", 1),
            ("2e0", 2),
            ("0.2E1", 2),
            ("20e-1", 2),
            ("-3.00e+2", -300),
            ("1.767e12", 1_767_000_000_000),
            ("1767225600000.000", 1_767_225_600_000),
            ("9223372036854775807.0", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(read(json), Some(number), "{json}");
        }
        for json in [
            "1.5",
            "1e-1",
            "1767225600000.0000000001",
            "9223372036854775808",
            "1e300",
            "1e99999999999",
            r#""1""#,
            "true",
            "[1]",
        ] {
            assert_eq!(read(json), None, "{json}");
        }
        let raw = RawValue::from_string("18446744073709551615".into()).unwrap();
        assert_eq!((whole::<u64>(&raw), whole::<i64>(&raw)), (Some(u64::MAX), None));
        let raw = RawValue::from_string("-1".into()).unwrap();
        assert_eq!(whole::<u64>(&raw), None);
    }
}
