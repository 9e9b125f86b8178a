//! Typed reading of JSON that names the path of what is wrong and never quotes its value.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A value of the wrong type, by its JSON path.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Mistyped {
    /// Where, for example `$.messages[0].timestamp`.
    pub path: String,
    /// What was expected.
    pub reason: String,
}

impl Mistyped {
    pub(super) fn new(path: &str, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}

/// Reads `raw`, which stands at `path` of the payload.
pub(super) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue, path: &str) -> Result<T, Mistyped> {
    let deserializer = &mut serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let inner = error.path().to_string();
        let path = match inner.as_str() {
            "." => path.into(),
            index if index.starts_with('[') => format!("{path}{index}"),
            field => format!("{path}.{field}"),
        };
        Mistyped { path, reason: describe(error.inner()) }
    })
}

/// What the parser says, without the value that it says it about.
pub(super) fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !error.is_data() {
        return text; // syntax errors name a position and never a value
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => {
            let expected = expected.split(" at line ").next().unwrap_or(expected);
            format!("expected {expected}")
        }
        None if text.starts_with("duplicate field") => "given twice".into(),
        None => "of the wrong type".into(),
    }
}

/// What kind of JSON value `raw` holds, told by its first byte.
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
