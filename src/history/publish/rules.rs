//! Rules that a message must keep before it is published (`PUBLISH_RULES`).

use regex_lite::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use crate::chat::RoomName;
use crate::history::error::ApiError;
use crate::history::publish::body::Content;
use crate::mistake::Mistake;

/// A pattern that begins so tells capitals from small letters.
const EXACT: &str = "(?-i)";

/// Rules for what is published.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Characters that a text may have.
    max_length: Option<usize>,
    /// Names of rooms that may be written to, by what they match somewhere.
    rooms: Option<Vec<Regex>>,
    /// What a text may not match anywhere.
    banned: Vec<Banned>,
    /// Members that metadata must have.
    required_metadata: Vec<String>,
}

#[derive(Clone, Debug)]
struct Banned {
    regex: Regex,
    is_exact: bool,
}

impl Rules {
    /// Reads rules: a JSON object with `maxLength`, `rooms`, `banned` and `requiredMetadata`, all
    /// of them optional.
    ///
    /// # Errors
    /// When there is anything else, or something of another type; the mistake names all of it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let members: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| Mistake(format!("no JSON object: {error}")))?;
        let (mut rules, mut mistakes) = (Self::default(), Vec::new());
        for (name, value) in &members {
            if let Err(mistake) = rules.set(name, value) {
                mistakes.push(format!("{name}: {mistake}"));
            }
        }
        if mistakes.is_empty() { Ok(rules) } else { Err(Mistake(mistakes.join("; "))) }
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "maxLength" => self.max_length = Some(positive(value)?),
            "rooms" => self.rooms = Some(each(value, |text| regex(text, false))?),
            "banned" => self.banned = each(value, Banned::parse)?,
            "requiredMetadata" => self.required_metadata = each(value, |text| Ok(text.to_owned()))?,
            _ => {
                let known = "maxLength, rooms, banned or requiredMetadata";
                return Err(format!("no rule has this name; expected {known}"));
            }
        }
        Ok(())
    }

    /// Whether the room may be written to at all.
    pub(super) fn check_room(&self, room: &RoomName) -> Result<(), ApiError> {
        let is_allowed = |rooms: &Vec<Regex>| rooms.iter().any(|it| it.is_match(&room.0));
        match self.rooms.as_ref().is_none_or(is_allowed) {
            true => Ok(()),
            false => Err(refused("this room cannot be written to")),
        }
    }

    /// Whether a content may be published.
    pub(super) fn check(&self, content: &Content) -> Result<(), ApiError> {
        let text = content.text();
        if let Some(most) = self.max_length
            && text.chars().nth(most).is_some()
        {
            let message = format!("refused by a rule of this server: more than {most} characters");
            return Err(ApiError::new(413, 40_009, message));
        }
        if !self.banned.is_empty() {
            let spellings = [text.to_owned(), text.to_lowercase(), text.to_uppercase()];
            if self.banned.iter().any(|banned| banned.is_in(&spellings)) {
                return Err(refused("the text holds what may not be said here"));
            }
        }
        self.check_metadata(content)
    }

    fn check_metadata(&self, content: &Content) -> Result<(), ApiError> {
        if self.required_metadata.is_empty() {
            return Ok(());
        }
        let metadata = content.metadata.as_deref().map_or("{}", |it| it.get());
        let members: Map<String, Value> = serde_json::from_str(metadata)
            .map_err(|_| refused("the metadata cannot be read as a JSON object"))?;
        let is_missing = |name: &&String| members.get(*name).is_none_or(Value::is_null);
        match self.required_metadata.iter().find(is_missing) {
            Some(name) => Err(refused(&format!("the metadata lacks {}", name.escape_default()))),
            None => Ok(()),
        }
    }
}

impl Banned {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { regex: regex(text, true)?, is_exact: text.starts_with(EXACT) })
    }

    /// Whether it is in a text, which is there as it is, in small letters and in capitals: the
    /// expressions themselves know only the capitals of ASCII.
    fn is_in(&self, spellings: &[String; 3]) -> bool {
        let count = if self.is_exact { 1 } else { spellings.len() };
        spellings.iter().take(count).any(|text| self.regex.is_match(text))
    }
}

/// Ably's code for what a before-publish rule refuses (Ably error registry, 42211).
pub(super) fn refused(reason: &str) -> ApiError {
    ApiError::new(422, 42_211, format!("refused by a rule of this server: {reason}"))
}

fn positive(value: &Value) -> Result<usize, String> {
    let number = value.as_u64().and_then(|it| usize::try_from(it).ok()).filter(|it| *it > 0);
    number.ok_or_else(|| "expected a whole number of characters, at least 1".into())
}

/// Reads each text of a list; of several mistakes, all.
fn each<T>(value: &Value, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let texts = value.as_array().filter(|texts| !texts.is_empty());
    let texts = texts.ok_or("expected a list of texts that is not empty")?;
    let (mut found, mut mistakes) = (Vec::new(), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        let text = text.as_str().filter(|text| !text.is_empty());
        match text.ok_or_else(|| "expected a text that is not empty".into()).and_then(&read) {
            Ok(one) => found.push(one),
            Err(mistake) => mistakes.push(format!("[{index}] {mistake}")),
        }
    }
    if mistakes.is_empty() { Ok(found) } else { Err(mistakes.join(", ")) }
}

fn regex(text: &str, ignores_case: bool) -> Result<Regex, String> {
    let regex = RegexBuilder::new(text).case_insensitive(ignores_case).build();
    regex.map_err(|error| format!("not a regular expression: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn content(text: &str, metadata: Option<&str>) -> Content {
        let metadata = metadata.map(|json| RawValue::from_string(json.into()).unwrap());
        Content { text: Some(text.into()), metadata, headers: None }
    }

    fn check(rules: &str, text: &str, metadata: Option<&str>) -> Result<(), (u16, u32)> {
        let checked = Rules::parse(rules).unwrap().check(&content(text, metadata));
        checked.map_err(|error| (error.status, error.code))
    }

    #[test]
    fn each_rule_refuses_with_its_code() {
        assert_eq!(check(r#"{"maxLength":3}"#, "é🙂x", None), Ok(()));
        assert_eq!(check(r#"{"maxLength":3}"#, "é🙂xy", None), Err((413, 40_009)));
        let banned = r#"{"banned":["dr[aä]t","(?-i)Exact"]}"#;
        for (text, expected) in [
            ("a DRÄT b", Err((422, 42_211))),
            ("drAt", Err((422, 42_211))),
            ("Exact", Err((422, 42_211))),
            ("exact dr", Ok(())),
            ("", Ok(())),
        ] {
            assert_eq!(check(banned, text, None), expected, "{text}");
        }
        let required = r#"{"requiredMetadata":["ticket"]}"#;
        assert_eq!(check(required, "a", Some(r#"{"ticket":0}"#)), Ok(()));
        for metadata in [None, Some("{}"), Some(r#"{"ticket":null}"#), Some("[]"), Some("null")] {
            assert_eq!(check(required, "a", metadata), Err((422, 42_211)), "{metadata:?}");
        }
        let rules = Rules::parse(r#"{"rooms":["^support:","^lobby$"]}"#).unwrap();
        let room = |name: &str| rules.check_room(&RoomName(name.into())).is_ok();
        assert!(room("support:1") && room("lobby") && !room("Lobby") && !room("lobby2"));
        assert!(Rules::parse("{}").unwrap().check_room(&RoomName("x".into())).is_ok());
    }

    #[test]
    fn every_mistake_is_named() {
        let Mistake(mistakes) = Rules::parse(
            r#"{"maxLength":0,"rooms":[],"banned":["(",7,""],"requiredMetadata":"x","words":[]}"#,
        )
        .unwrap_err();
        for part in [
            "maxLength: expected a whole number",
            "rooms: expected a list",
            "banned: [0] not a regular expression",
            "[1] expected a text",
            "[2] expected a text",
            "requiredMetadata: expected a list",
            "words: no rule has this name",
        ] {
            assert!(mistakes.contains(part), "{part} in {mistakes}");
        }
        assert!(Rules::parse("[]").is_err() && Rules::parse("").is_err());
    }

    #[test]
    fn no_refusal_quotes_what_was_said() {
        let rules = Rules::parse(r#"{"banned":["secret"],"requiredMetadata":["é"]}"#).unwrap();
        let error = rules.check(&content("my secret", None)).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        let error = rules.check(&content("x", None)).unwrap_err().to_string();
        assert!(error.is_ascii(), "{error}");
    }
}
