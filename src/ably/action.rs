//! A message's action on the wire: a number, its name in either spelling, or a numeric string
//! (features spec TM5; the spellings disagree between Ably's pages).

use serde_json::value::RawValue;

use crate::ably::json::{self, Kind, Mistyped, Path};
use crate::chat::Action;

/// What an Ably message does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum WireAction {
    /// A new version of a message.
    Version(Action),
    /// Channel metadata, such as occupancy.
    Meta,
    /// The annotations of a message changed.
    Summary,
    /// A fragment was added to a message.
    Append,
    /// None of those known.
    Unknown(String),
}

impl WireAction {
    /// Reads the `action` member; absent and null mean create, as in Ably's SDKs.
    pub(super) fn read(raw: Option<&RawValue>, path: &Path<'_>) -> Result<Self, Mistyped> {
        let Some(raw) = raw else { return Ok(Self::Version(Action::Create)) };
        match json::kind(raw) {
            Kind::Number => Ok(Self::from_number(raw)),
            Kind::String => Ok(Self::from_word(&json::text(raw).unwrap_or_default())),
            _ => Err(Mistyped::new(path, "expected a number or a string")),
        }
    }

    fn from_word(word: &str) -> Self {
        match word {
            "message.create" | "message.created" => Self::Version(Action::Create),
            "message.update" | "message.updated" => Self::Version(Action::Update),
            "message.delete" | "message.deleted" => Self::Version(Action::Delete),
            "meta" => Self::Meta,
            "message.summary" => Self::Summary,
            "message.append" | "message.appended" => Self::Append,
            "0" | "1" | "2" | "3" | "4" | "5" => Self::from_ordinal(word.parse().ok()),
            // A word of Ably's is worth quoting; anything else may be somebody's content.
            other if other.len() <= 32 && other.bytes().all(is_word_byte) => {
                Self::Unknown(format!("{other:?}"))
            }
            _ => Self::Unknown("that is not a word".into()),
        }
    }

    fn from_number(raw: &RawValue) -> Self {
        match Self::from_ordinal(json::whole(raw)) {
            Self::Unknown(_) if raw.get().len() <= 20 => Self::Unknown(raw.get().into()),
            action => action,
        }
    }

    fn from_ordinal(ordinal: Option<i64>) -> Self {
        match ordinal {
            Some(0) => Self::Version(Action::Create),
            Some(1) => Self::Version(Action::Update),
            Some(2) => Self::Version(Action::Delete),
            Some(3) => Self::Meta,
            Some(4) => Self::Summary,
            Some(5) => Self::Append,
            _ => Self::Unknown("number".into()),
        }
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<WireAction, Mistyped> {
        let raw = RawValue::from_string(json.into()).unwrap();
        WireAction::read(Some(&raw), &Path::Root)
    }

    #[test]
    fn every_spelling_is_understood() {
        let table = [
            (
                r#"0 0.0 "0" "message.create" "message.created""#,
                WireAction::Version(Action::Create),
            ),
            (
                r#"1 1.0 "1" "message.update" "message.updated""#,
                WireAction::Version(Action::Update),
            ),
            (r#"2 "2" "message.delete" "message.deleted""#, WireAction::Version(Action::Delete)),
            (r#"3 "3" "meta""#, WireAction::Meta),
            (r#"4 0.4e1 "4" "message.summary""#, WireAction::Summary),
            (r#"5 "5" "message.append""#, WireAction::Append),
        ];
        for (spellings, expected) in table {
            for spelling in spellings.split(' ') {
                assert_eq!(read(spelling).unwrap(), expected, "{spelling}");
            }
        }
        assert_eq!(
            WireAction::read(None, &Path::Root).unwrap(),
            WireAction::Version(Action::Create)
        );
    }

    #[test]
    fn an_unknown_action_is_never_taken_for_a_create() {
        assert_eq!(read("6").unwrap(), WireAction::Unknown("6".into()));
        assert_eq!(read("-1").unwrap(), WireAction::Unknown("-1".into()));
        assert_eq!(read("1.5").unwrap(), WireAction::Unknown("1.5".into()));
        assert_eq!(read(r#""\ud800""#).unwrap(), WireAction::Unknown(r#""""#.into()));
        assert_eq!(read(r#""""#).unwrap(), WireAction::Unknown(r#""""#.into()));
        assert_eq!(read(&"9".repeat(21)).unwrap(), WireAction::Unknown("number".into()));
        assert_eq!(
            read(r#""message.pin""#).unwrap(),
            WireAction::Unknown(r#""message.pin""#.into())
        );
        assert_eq!(
            read(r#""dear diary, today""#).unwrap(),
            WireAction::Unknown("that is not a word".into()),
        );
        assert!(read("[0]").is_err());
        assert!(read("true").is_err());
    }
}
