//! Items of Ably's REST APIs: messages in the Chat form and in the Pub/Sub form, and annotations.

use serde_json::value::RawValue;

use crate::ably::action::WireAction;
use crate::ably::encoding::{self, CipherKey};
use crate::ably::entry::Verdict;
use crate::ably::error::MessageError;
use crate::ably::json::{self, Kind, Mistyped, Path};
use crate::ably::members::{Aside, Members};
use crate::ably::message::{self, Claims, Known};
use crate::ably::summary::{self, Said};
use crate::chat::{Annotation, ChatEvent, ChatMessage, JsonText, Reactions, RoomName, Serial};

/// One version of a message, as a REST API gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The version.
    pub message: ChatMessage,
    /// All reactions to the message at that moment; `None` where the API does not say, or not in a
    /// known shape.
    pub reactions: Option<Reactions>,
    /// Members of another type than they should be.
    pub odd: Vec<&'static str>,
}

/// Reads a message of the Chat REST API v4 (*Message* in Chat spec, "Chat HTTP REST API"), with the
/// defaults that the SDKs use (CHA-M4k), and by the rules for what is delivered.
///
/// # Errors
/// When it cannot be stored; the error names the member.
pub fn chat_message(raw: &RawValue, room: &RoomName) -> Result<Fetched, MessageError> {
    let path = &Path::Root;
    let (mut wire, mut aside) = (Members::read(raw, path)?, Aside::default());
    let serial = message::serial(&mut wire, path, &mut aside)?;
    let action = wire.take("action", "action", &mut aside);
    let action = match WireAction::read(action, &path.member("action"))? {
        WireAction::Version(action) => action,
        WireAction::Unknown(action) => {
            return Err(MessageError::UnknownAction(path.to_string(), action));
        }
        other => return Err(MessageError::UnknownAction(path.to_string(), format!("{other:?}"))),
    };
    let content = match wire.split(&["text", "metadata"]) {
        none if none.left().all(|(_, value)| json::kind(value) == Kind::Null) => Default::default(),
        content => encoding::chat_fields(content, None),
    };
    let reactions = match wire.take("reactions", "reactions", &mut aside).map(summary::reactions) {
        Some(Said::All(reactions)) => Some(reactions),
        Some(Said::Nothing) | None => None,
        Some(Said::Odd) => {
            aside.odd.push("reactions");
            None
        }
    };
    let claims = Claims::take(&mut wire, &mut aside);
    let known = Known { room: room.clone(), serial, action, content, claims };
    let message = message::chat_message(wire, known, path, &mut aside)?;
    Ok(Fetched { message, reactions, odd: aside.odd })
}

/// Reads a message of the Pub/Sub REST API on a room's channel; `None` if it is not a version of a
/// chat message.
///
/// # Errors
/// As [`chat_message`].
pub fn pub_sub_message(
    raw: &RawValue,
    room: &RoomName,
    key: Option<&CipherKey>,
) -> Result<Option<Fetched>, MessageError> {
    let entry = message::decode(raw, &Path::Root, room, key);
    match entry.verdict {
        Verdict::Event(ChatEvent::Version(message, _)) => {
            Ok(Some(Fetched { message: *message, reactions: None, odd: entry.odd }))
        }
        Verdict::Event(ChatEvent::Reactions(_)) | Verdict::Skip(_) => Ok(None),
        Verdict::Fail(error) => Err(error),
    }
}

/// Reads an annotation (features spec TAN2) of the message with this serial.
///
/// # Errors
/// When it cannot be stored; the error names the member.
pub fn annotation(
    raw: &RawValue,
    room: &RoomName,
    message: &Serial,
) -> Result<Annotation, MessageError> {
    let path = &Path::Root;
    let (mut wire, mut aside) = (Members::read(raw, path)?, Aside::default());
    let aside = &mut aside;
    let serial = message::serial(&mut wire, path, aside)?;
    let action = wire.take("action", "action", aside);
    let is_delete = annotation_deletes(action)
        .ok_or_else(|| Mistyped::new(&path.member("action"), "neither create nor delete"))?;
    let mut extras = message::object(&mut wire, "extras", aside);
    let user_claim = extras.get("userClaim", "userClaim", aside, json::text);
    extras.keep_left("extras.", aside);
    wire.forget(&["id", "connectionId", "messageSerial"]);
    let mut annotation = Annotation {
        room: room.clone(),
        message: message.clone(),
        serial,
        kind: wire.get("type", "type", aside, json::text).unwrap_or_default(),
        name: wire.get("name", "name", aside, json::text),
        client_id: wire.get("clientId", "clientId", aside, json::text),
        count: wire.get("count", "count", aside, json::whole),
        is_delete,
        timestamp: wire.get("timestamp", "timestamp", aside, json::whole).unwrap_or(0),
        user_claim,
        data: wire.take("data", "data", aside).map(JsonText::from_raw),
        encoding: wire.get("encoding", "encoding", aside, json::text),
        aside: Default::default(),
    };
    wire.keep_left("", aside);
    annotation.aside = std::mem::take(&mut aside.members);
    Ok(annotation)
}

/// Whether an annotation's action takes a reaction back; `None` if it is an unknown one.
fn annotation_deletes(action: Option<&RawValue>) -> Option<bool> {
    let Some(raw) = action else { return Some(false) };
    match (json::whole(raw), json::text(raw).as_deref()) {
        (Some(0), _) | (_, Some("0" | "annotation.create")) => Some(false),
        (Some(1), _) | (_, Some("1" | "annotation.delete")) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Action;

    fn read(json: &str) -> Result<Fetched, MessageError> {
        let raw = RawValue::from_string(json.into()).unwrap();
        chat_message(&raw, &RoomName("r".into()))
    }

    /// The example of the Chat REST API's *Message*, in full.
    #[test]
    fn a_message_is_read_in_full() {
        let fetched = read(
            r#"{"serial":"1-0@a:000","clientId":"ana","text":"hi","metadata":{"a":1},
            "headers":{"h":"v"},"timestamp":5,"action":"message.update","userClaim":"vip",
            "version":{"serial":"2-0@a:000","timestamp":6,"clientId":"mod","description":"typo",
                       "metadata":{"ticket":"7"}},
            "reactions":{"unique":{},"distinct":{"👍":{"total":1,"clientIds":["bob"]}},
                         "multiple":{"🎉":{"total":3,"clientIds":{"bob":3}}}}}"#,
        );
        let Fetched { message, reactions, odd } = fetched.unwrap();
        assert_eq!((odd.len(), message.aside.len()), (0, 0));
        assert_eq!((message.text.as_str(), message.action), ("hi", Action::Update));
        assert_eq!((message.timestamp, message.version.timestamp), (5, 6));
        assert_eq!(message.version.serial.as_str(), "2-0@a:000");
        assert_eq!(message.version.description.as_deref(), Some("typo"));
        let reactions = reactions.unwrap();
        assert_eq!(reactions.distinct["👍"].client_ids, ["bob"]);
        assert_eq!(reactions.multiple["🎉"].client_ids["bob"], 3);
    }

    #[test]
    fn a_message_without_version_is_its_first() {
        let json = r#"{"serial":"1-0@a:000","timestamp":5,"reactions":{}}"#;
        let Fetched { message, reactions, .. } = read(json).unwrap();
        assert_eq!((message.version.serial.as_str(), message.version.timestamp), ("1-0@a:000", 5));
        assert_eq!((message.action, reactions), (Action::Create, None));
    }

    #[test]
    fn what_cannot_be_stored_is_named() {
        let error = |json| read(json).unwrap_err().to_string();
        assert_eq!(error("{}"), "$.serial: missing");
        assert_eq!(error("[]"), "$: expected an object");
        assert_eq!(error(r#"{"serial":7}"#), "$.serial: expected a string");
        assert!(error(r#"{"serial":"1","action":"message.summary"}"#).starts_with("$.action"));
        let version = error(r#"{"serial":"1","action":"message.update","version":[]}"#);
        assert_eq!(version, "$.version: does not say which version it is");
    }

    /// What the function stores of a live event, a walk reads too.
    #[test]
    fn regression_a_walk_was_stricter_than_the_function() {
        let fetched = read(
            r#"{"serial":"1","text":7,"metadata":"m","headers":"x","clientId":[],"timestamp":"now",
            "userClaim":1,"version":[],"reactions":{"unique":{"a":1}},"new":true}"#,
        );
        let Fetched { message, reactions, odd } = fetched.unwrap();
        let raw = message.raw.expect("the odd text is kept as of a live event");
        assert_eq!(raw.data, crate::chat::Data::Text(r#"{"text":7,"metadata":"m"}"#.into()));
        assert_eq!((message.text.as_str(), message.headers.as_str()), ("", "{}"));
        let kept = message.aside.iter().map(|(name, json)| format!("{name}={}", json.as_str()));
        assert_eq!(
            kept.collect::<Vec<_>>().join(" "),
            r#"clientId=[] headers="x" new=true timestamp="now" userClaim=1 version=[]"#
        );
        assert_eq!(reactions, None, "what has no known shape is not compared");
        assert_eq!(odd, ["reactions", "headers", "userClaim", "timestamp", "clientId", "version"]);
    }

    #[test]
    fn an_annotation_is_read_whatever_its_optional_members_are() {
        let json = r#"{"serial":"2","action":1.0,"type":7,"name":"like","count":2.0,"extras":"x"}"#;
        let raw = RawValue::from_string(json.into()).unwrap();
        let room = RoomName("r".into());
        let found = annotation(&raw, &room, &Serial("1".into())).unwrap();
        assert!(found.is_delete);
        assert_eq!((found.kind.as_str(), found.name.as_deref()), ("", Some("like")));
        assert_eq!(found.count, Some(2));
        assert_eq!(found.aside.keys().collect::<Vec<_>>(), ["extras", "type"]);
    }
}
