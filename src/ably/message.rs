//! One Ably message to one chat event: the mapping of Ably docs Chat › "Integrations" and of the
//! Chat spec (CHA-M4k), with its defaults.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ably::action::WireAction;
use crate::ably::encoding::{self, CipherKey, Content};
use crate::ably::envelope::{Entry, Outcome, Skip};
use crate::ably::error::MessageError;
use crate::ably::json::{self, Kind, Mistyped, Path};
use crate::ably::summary;
use crate::chat::{
    Action, ChatEvent, ChatMessage, JsonText, RoomName, Serial, Summary, SummaryOf, Version,
};

/// The name of every chat message (Chat spec CHA-M4l).
const CHAT_MESSAGE: &str = "chat.message";

/// An Ably message as it travels (features spec TM2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMessage<'a> {
    name: Option<String>,
    client_id: Option<String>,
    timestamp: Option<i64>,
    serial: Option<String>,
    encoding: Option<String>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    extras: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    /// Where the summary was before `annotations` (TM2q).
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extras<'a> {
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    ephemeral: Option<&'a RawValue>,
    user_claim: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVersion<'a> {
    serial: Option<String>,
    timestamp: Option<i64>,
    client_id: Option<String>,
    description: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Annotations<'a> {
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

/// Says what the message at `path` of the payload is.
pub(super) fn decode(
    raw: &RawValue,
    path: &Path<'_>,
    room: &RoomName,
    key: Option<&CipherKey>,
) -> Entry {
    let mut entry = Entry::new(Outcome::Skip(Skip::OtherName));
    entry.room = Some(room.clone());
    entry.outcome = outcome(raw, path, key, &mut entry).unwrap_or_else(Outcome::Fail);
    entry
}

fn outcome(
    raw: &RawValue,
    path: &Path<'_>,
    key: Option<&CipherKey>,
    entry: &mut Entry,
) -> Result<Outcome, MessageError> {
    let wire: WireMessage<'_> = json::object(raw, path)?;
    let serial = wire.serial.as_deref().filter(|serial| !serial.is_empty());
    entry.serial = serial.map(|serial| Serial(serial.into()));
    let extras: Extras<'_> = read_or_default(wire.extras, &path.member("extras"))?;
    if extras.ephemeral.is_some_and(|ephemeral| ephemeral.get() == "true") {
        return Ok(Outcome::Skip(Skip::Ephemeral));
    }
    let is_chat = wire.name.as_deref() == Some(CHAT_MESSAGE);
    let action = match WireAction::read(wire.action, &path.member("action"))? {
        WireAction::Meta => return Ok(Outcome::Skip(Skip::Meta)),
        // A summary is told by its action, whatever its name (chat-js does the same).
        WireAction::Summary => None,
        // An append changes a message that exists: it may not vanish for want of a name.
        WireAction::Append if is_chat || wire.name.is_none() => {
            return Err(MessageError::Append(path.to_string()));
        }
        _ if !is_chat => return Ok(Outcome::Skip(Skip::OtherName)),
        WireAction::Version(action) => Some(action),
        WireAction::Append => return Err(MessageError::Append(path.to_string())),
        WireAction::Unknown(action) => {
            return Err(MessageError::UnknownAction(path.to_string(), action));
        }
    };
    let room = entry.room.clone().filter(|room| !room.0.is_empty());
    let room = room.ok_or_else(|| MessageError::EmptyRoom(path.to_string()))?;
    let serial = entry.serial.clone().ok_or_else(|| MessageError::NoSerial(path.to_string()))?;
    let version = version(wire.version, wire.timestamp, &serial, &path.member("version"))?;
    let summary = summary(&wire, path)?;
    let Some(action) = action else {
        return Ok(Outcome::Event(ChatEvent::Reactions(SummaryOf {
            room,
            serial,
            version: version.serial,
            timestamp: wire.timestamp.unwrap_or(0),
            summary: summary.unwrap_or_default(),
        })));
    };
    let content = encoding::decode(wire.data, wire.encoding.as_deref(), key);
    entry.encoding_lost = content.encoding_lost;
    let message = chat_message(wire, action, extras, version, content, (room, serial), path)?;
    Ok(Outcome::Event(ChatEvent::Version(Box::new(message), summary)))
}

fn chat_message(
    wire: WireMessage<'_>,
    action: Action,
    extras: Extras<'_>,
    version: Version,
    content: Content,
    (room, serial): (RoomName, Serial),
    path: &Path<'_>,
) -> Result<ChatMessage, Mistyped> {
    let headers = object(extras.headers, &path.member("extras").member("headers"))?;
    Ok(ChatMessage {
        room,
        serial,
        client_id: wire.client_id.unwrap_or_default(),
        text: content.text,
        metadata: content.metadata,
        headers: headers.unwrap_or_default(),
        user_claim: extras.user_claim,
        action,
        timestamp: wire.timestamp.unwrap_or(0),
        version,
        raw: content.raw,
    })
}

/// The version, with the defaults CHA-M4k6 and CHA-M4k7: an absent or empty `version.serial` is
/// the message's own serial. A bare string is the form of Chat v3.
pub(super) fn version(
    found: Option<&RawValue>,
    timestamp: Option<i64>,
    serial: &Serial,
    path: &Path<'_>,
) -> Result<Version, Mistyped> {
    let found = match found {
        Some(raw) if json::kind(raw) == Kind::String => {
            WireVersion { serial: Some(json::read(raw, path)?), ..WireVersion::default() }
        }
        other => read_or_default(other, path)?,
    };
    let found_serial = found.serial.filter(|serial| !serial.is_empty()).map(Serial);
    Ok(Version {
        serial: found_serial.unwrap_or_else(|| serial.clone()),
        timestamp: found.timestamp.or(timestamp).unwrap_or(0),
        client_id: found.client_id,
        description: found.description,
        metadata: object(found.metadata, &path.member("metadata"))?,
    })
}

fn summary(wire: &WireMessage<'_>, path: &Path<'_>) -> Result<Option<Summary>, Mistyped> {
    let annotations_path = path.member("annotations");
    if let Some(raw) = wire.annotations {
        let annotations: Annotations<'_> = json::object(raw, &annotations_path)?;
        if let Some(raw) = annotations.summary {
            return summary::read(raw, &annotations_path.member("summary")).map(Some);
        }
    }
    wire.summary.map(|raw| summary::read(raw, &path.member("summary"))).transpose()
}

pub(super) fn object(
    raw: Option<&RawValue>,
    path: &Path<'_>,
) -> Result<Option<JsonText>, Mistyped> {
    match raw {
        None => Ok(None),
        Some(raw) if json::kind(raw) == Kind::Object => Ok(Some(JsonText::from_raw(raw))),
        Some(_) => Err(Mistyped::new(path, "expected an object")),
    }
}

pub(super) fn read_or_default<'a, T: Default + Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    path: &Path<'_>,
) -> Result<T, Mistyped> {
    raw.map_or_else(|| Ok(T::default()), |raw| json::object(raw, path))
}
