//! Items of Ably's REST APIs: messages in the Chat form and in the Pub/Sub form, and annotations.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ably::action::WireAction;
use crate::ably::encoding::CipherKey;
use crate::ably::envelope::Outcome;
use crate::ably::error::MessageError;
use crate::ably::json::{self, Mistyped, Path};
use crate::ably::{message, summary};
use crate::chat::{Annotation, ChatEvent, ChatMessage, JsonText, Reactions, RoomName, Serial};

/// One version of a message, as a REST API gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The version.
    pub message: ChatMessage,
    /// All reactions to the message at that moment; `None` where the API does not say.
    pub reactions: Option<Reactions>,
}

/// *Message* of the Chat REST API v4 (Chat spec, "Chat HTTP REST API").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RestMessage<'a> {
    serial: Option<String>,
    client_id: Option<String>,
    text: Option<String>,
    timestamp: Option<i64>,
    user_claim: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    reactions: Option<&'a RawValue>,
}

/// Reads a message of the Chat REST API, with the defaults that the SDKs use (Chat spec CHA-M4k).
///
/// # Errors
/// When it cannot be stored; the error names the member.
pub fn chat_message(raw: &RawValue, room: &RoomName) -> Result<Fetched, MessageError> {
    let path = &Path::Root;
    let rest: RestMessage<'_> = json::object(raw, path)?;
    let serial = rest.serial.filter(|serial| !serial.is_empty()).map(Serial);
    let serial = serial.ok_or_else(|| MessageError::NoSerial(path.to_string()))?;
    let action = match WireAction::read(rest.action, &path.member("action"))? {
        WireAction::Version(action) => action,
        other => return Err(MessageError::UnknownAction(path.to_string(), format!("{other:?}"))),
    };
    let version_path = path.member("version");
    let version = message::version(rest.version, rest.timestamp, &serial, &version_path)?;
    let reactions = rest.reactions.map(|raw| summary::reactions(raw, &path.member("reactions")));
    let message = ChatMessage {
        room: room.clone(),
        serial,
        client_id: rest.client_id.unwrap_or_default(),
        text: rest.text.unwrap_or_default(),
        metadata: message::object(rest.metadata, &path.member("metadata"))?.unwrap_or_default(),
        headers: message::object(rest.headers, &path.member("headers"))?.unwrap_or_default(),
        user_claim: rest.user_claim,
        action,
        timestamp: rest.timestamp.unwrap_or(0),
        version,
        raw: None,
    };
    Ok(Fetched { message, reactions: reactions.transpose()?.flatten() })
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
    match message::decode(raw, &Path::Root, room, key).outcome {
        Outcome::Event(ChatEvent::Version(message, _)) => {
            Ok(Some(Fetched { message: *message, reactions: None }))
        }
        Outcome::Event(ChatEvent::Reactions(_)) | Outcome::Skip(_) => Ok(None),
        Outcome::Fail(error) => Err(error),
    }
}

/// An annotation (features spec TAN2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RestAnnotation<'a> {
    serial: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    client_id: Option<String>,
    count: Option<u64>,
    timestamp: Option<i64>,
    encoding: Option<String>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    extras: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnnotationExtras {
    user_claim: Option<String>,
}

/// Reads an annotation of the message with this serial.
///
/// # Errors
/// When it cannot be stored; the error names the member.
pub fn annotation(
    raw: &RawValue,
    room: &RoomName,
    message: &Serial,
) -> Result<Annotation, MessageError> {
    let path = &Path::Root;
    let rest: RestAnnotation<'_> = json::object(raw, path)?;
    let serial = rest.serial.filter(|serial| !serial.is_empty()).map(Serial);
    let action = rest.action.map_or("0", RawValue::get).trim_matches('"');
    let is_delete = match action {
        "0" | "annotation.create" => false,
        "1" | "annotation.delete" => true,
        _ => return Err(Mistyped::new(&path.member("action"), "neither create nor delete").into()),
    };
    let extras: AnnotationExtras = message::read_or_default(rest.extras, &path.member("extras"))?;
    Ok(Annotation {
        room: room.clone(),
        message: message.clone(),
        serial: serial.ok_or_else(|| MessageError::NoSerial(path.to_string()))?,
        kind: rest.kind.ok_or_else(|| Mistyped::new(&path.member("type"), "missing"))?,
        name: rest.name,
        client_id: rest.client_id,
        count: rest.count,
        is_delete,
        timestamp: rest.timestamp.unwrap_or(0),
        user_claim: extras.user_claim,
        data: rest.data.map(JsonText::from_raw),
        encoding: rest.encoding,
    })
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
        let Fetched { message, reactions } = fetched.unwrap();
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
        let Fetched { message, reactions } = read(json).unwrap();
        assert_eq!((message.version.serial.as_str(), message.version.timestamp), ("1-0@a:000", 5));
        assert_eq!((message.action, reactions), (Action::Create, None));
    }

    #[test]
    fn what_cannot_be_stored_is_named() {
        let error = |json| read(json).unwrap_err().to_string();
        assert_eq!(error("{}"), "$.serial: missing");
        assert_eq!(error(r#"{"serial":"1","text":7}"#), "$.text: expected a string");
        assert_eq!(error(r#"{"serial":"1","version":[]}"#), "$.version: expected an object");
        assert!(error(r#"{"serial":"1","action":"message.summary"}"#).starts_with("$.action"));
        let reactions = r#"{"serial":"1","reactions":{"unique":{"a":1}}}"#;
        assert_eq!(error(reactions), "$.reactions.unique: not of the known shape");
    }
}
