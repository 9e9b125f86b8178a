//! Typed reading of JSON that names the path of what is wrong and never quotes its value.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

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
    /// Where, for example `$.messages[0].timestamp`.
    pub path: String,
    /// What was expected.
    pub reason: String,
}

impl Mistyped {
    pub(super) fn new(path: &Path<'_>, reason: impl Into<String>) -> Self {
        Self { path: path.to_string(), reason: reason.into() }
    }
}

/// Reads `raw`, which stands at `path` of the payload.
pub(super) fn read<'a, T>(raw: &'a RawValue, path: &Path<'_>) -> Result<T, Mistyped>
where
    T: Deserialize<'a>,
{
    // Keeping track of the place inside costs time, which only an error is worth.
    serde_json::from_str(raw.get()).map_err(|error| {
        let deserializer = &mut serde_json::Deserializer::from_str(raw.get());
        let inside = serde_path_to_error::deserialize::<_, T>(deserializer).err();
        let inside = inside.map_or(String::new(), |error| match error.path().to_string() {
            same if same == "." => String::new(),
            index if index.starts_with('[') => index,
            member => format!(".{member}"),
        });
        Mistyped { path: format!("{path}{inside}"), reason: describe(&error) }
    })
}

/// Reads an object into a struct. Serde would take an array for one too, member by member.
pub(super) fn object<'a, T>(raw: &'a RawValue, path: &Path<'_>) -> Result<T, Mistyped>
where
    T: Deserialize<'a>,
{
    match kind(raw) {
        Kind::Object => read(raw, path),
        _ => Err(Mistyped::new(path, "expected an object")),
    }
}

/// What the parser says, without the value that it says it about.
pub(super) fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !error.is_data() {
        return text; // syntax errors name a position and never a value
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => {
            let expected = match expected.split(" at line ").next().unwrap_or(expected) {
                "a sequence" => "an array",
                "a map" => "an object",
                "i64" | "u64" => "an integer",
                other => other,
            };
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
