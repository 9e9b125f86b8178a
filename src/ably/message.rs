//! One Ably message to one chat event: the mapping of Ably docs Chat › "Integrations" and of the
//! Chat spec (CHA-M4k), with its defaults. A message is refused for want of a serial, a room or a
//! known action, and for nothing else.

use serde_json::value::RawValue;

use crate::ably::action::WireAction;
use crate::ably::encoding::{self, CipherKey, Content};
use crate::ably::entry::{Entry, Skip, Verdict};
use crate::ably::error::MessageError;
use crate::ably::json::{self, Kind, Mistyped, Path};
use crate::ably::members::{Aside, Members};
use crate::ably::summary;
use crate::chat::{
    Action, ChatEvent, ChatMessage, JsonText, RoomName, Serial, Summary, SummaryOf, Version,
};

/// The name of every chat message (Chat spec CHA-M4l).
const CHAT_MESSAGE: &str = "chat.message";
/// Members of an Ably message that say nothing of a chat (features spec TM2a, TM2c).
const OF_THE_CONNECTION: [&str; 2] = ["id", "connectionId"];

/// Says what the message at `path` of the payload is.
pub(super) fn decode(
    raw: &RawValue,
    path: &Path<'_>,
    room: &RoomName,
    key: Option<&CipherKey>,
) -> Entry {
    let mut entry = Entry::new(Verdict::Skip(Skip::OtherName));
    entry.room = Some(room.clone());
    entry.verdict = verdict(raw, path, key, &mut entry).unwrap_or_else(Verdict::Fail);
    entry
}

/// A message that cannot be read for what is wrong around it, by its name.
pub(super) fn unread(raw: &RawValue, error: MessageError) -> Entry {
    let mut members = Members::of(raw).unwrap_or_default();
    let serial = serial(&mut members, &Path::Root, &mut Aside::default());
    Entry { serial: serial.ok(), ..Entry::new(Verdict::Fail(error)) }
}

fn verdict(
    raw: &RawValue,
    path: &Path<'_>,
    key: Option<&CipherKey>,
    entry: &mut Entry,
) -> Result<Verdict, MessageError> {
    let (mut wire, mut aside) = (Members::read(raw, path)?, Aside::default());
    // First, so that whatever else is wrong names the message.
    let serial = serial(&mut wire, path, &mut aside);
    entry.serial = serial.as_ref().ok().cloned();
    let mut extras = object(&mut wire, "extras", &mut aside);
    if extras.get("ephemeral", "extras.ephemeral", &mut aside, json::boolean) == Some(true) {
        return Ok(Verdict::Skip(Skip::Ephemeral));
    }
    let name = name(&mut wire, &mut aside);
    let is_chat = name == Name::Chat;
    let action = wire.take("action", "action", &mut aside);
    let action = match WireAction::read(action, &path.member("action"))? {
        WireAction::Meta => return Ok(Verdict::Skip(Skip::Meta)),
        // A summary is identified by its action, whatever its name (chat-js does the same).
        WireAction::Summary => None,
        // An append changes a message that exists: it may not vanish for want of a name.
        WireAction::Append if is_chat || name == Name::None => {
            return Err(MessageError::Append(path.to_string()));
        }
        _ if !is_chat => return Ok(Verdict::Skip(Skip::OtherName)),
        WireAction::Version(action) => Some(action),
        WireAction::Append => return Err(MessageError::Append(path.to_string())),
        WireAction::Unknown(action) => {
            return Err(MessageError::UnknownAction(path.to_string(), action));
        }
    };
    let room = entry.room.clone().filter(|room| !room.0.is_empty());
    let room = room.ok_or_else(|| MessageError::EmptyRoom(path.to_string()))?;
    let serial = serial?;
    let Some(action) = action else {
        return Ok(Verdict::Event(ChatEvent::Reactions(summary_of(wire, room, serial, entry))));
    };
    let riding = summary(&mut wire, &mut aside).filter(|summary| !summary.is_empty());
    let data = wire.take("data", "data", &mut aside);
    let encoding = wire.get("encoding", "encoding", &mut aside, json::text);
    let content = encoding::decode(data, encoding.as_deref(), key);
    entry.encoding_lost = content.encoding_lost;
    let claims = Claims::take(&mut extras, &mut aside);
    extras.keep_left("extras.", &mut aside);
    wire.forget(&OF_THE_CONNECTION);
    let known = Known { room, serial, action, content, claims };
    let message = chat_message(wire, known, path, &mut aside)?;
    entry.odd = aside.odd;
    Ok(Verdict::Event(ChatEvent::Version(Box::new(message), riding)))
}

/// The serial of a message.
pub(super) fn serial(
    wire: &mut Members<'_>,
    path: &Path<'_>,
    aside: &mut Aside,
) -> Result<Serial, MessageError> {
    let missing = || MessageError::NoSerial(path.to_string());
    let raw = wire.take("serial", "serial", aside).ok_or_else(missing)?;
    let found = json::text(raw);
    let found = found.ok_or_else(|| Mistyped::new(&path.member("serial"), "expected a string"))?;
    if found.is_empty() { Err(missing()) } else { Ok(Serial(found)) }
}

/// What a message is called.
#[derive(PartialEq)]
enum Name {
    None,
    Chat,
    Other,
}

/// A name of a type that no name has is kept with its message: it may be a chat message's.
fn name(wire: &mut Members<'_>, aside: &mut Aside) -> Name {
    match wire.take("name", "name", aside) {
        None => Name::None,
        Some(raw) if json::kind(raw) != Kind::String => {
            aside.odd("name", raw);
            Name::Chat
        }
        Some(raw) if json::text(raw).as_deref() == Some(CHAT_MESSAGE) => Name::Chat,
        Some(_) => Name::Other,
    }
}

/// Takes a member that is an object. There is none where it is none.
pub(super) fn object<'a>(
    wire: &mut Members<'a>,
    name: &'static str,
    aside: &mut Aside,
) -> Members<'a> {
    wire.get(name, name, aside, Members::of).unwrap_or_default()
}

/// What the publisher says beside the content: members of `extras`, or of a message of the Chat
/// API.
pub(super) struct Claims {
    headers: JsonText,
    user_claim: Option<String>,
}

impl Claims {
    pub(super) fn take(members: &mut Members<'_>, aside: &mut Aside) -> Self {
        Self {
            headers: members.get("headers", "headers", aside, json::object).unwrap_or_default(),
            user_claim: members.get("userClaim", "userClaim", aside, json::text),
        }
    }
}

/// What was read of a message where its two forms differ.
pub(super) struct Known {
    pub(super) room: RoomName,
    pub(super) serial: Serial,
    pub(super) action: Action,
    pub(super) content: Content,
    pub(super) claims: Claims,
}

/// The message: the rest of its members, by the same rules in both forms.
pub(super) fn chat_message(
    mut wire: Members<'_>,
    known: Known,
    path: &Path<'_>,
    aside: &mut Aside,
) -> Result<ChatMessage, MessageError> {
    let Known { room, serial, action, content, claims } = known;
    let timestamp = wire.get("timestamp", "timestamp", aside, json::whole);
    let client_id = wire.get("clientId", "clientId", aside, json::text);
    let version = WireVersion::take(&mut wire, aside);
    if let (Some(odd), Action::Update | Action::Delete) = (version.odd, action) {
        // Its own serial is what keeps a version apart from the others: for want of it, this one
        // would be taken for the first.
        return Err(Mistyped::new(&path.member(odd), "does not say which version it is").into());
    }
    let version = version.read(timestamp, &serial, aside);
    wire.keep_left("", aside);
    Ok(ChatMessage {
        room,
        serial,
        client_id: client_id.unwrap_or_default(),
        text: content.text,
        metadata: content.metadata,
        headers: claims.headers,
        user_claim: claims.user_claim,
        action,
        timestamp: timestamp.unwrap_or(0),
        version,
        raw: content.raw,
        aside: std::mem::take(&mut aside.members),
    })
}

/// `version` of a message: an object, or a bare serial, the form of Chat v3.
struct WireVersion<'a> {
    serial: Option<Serial>,
    /// Which member ought to have held the serial, and holds something else.
    odd: Option<&'static str>,
    members: Members<'a>,
}

impl<'a> WireVersion<'a> {
    fn take(wire: &mut Members<'a>, aside: &mut Aside) -> Self {
        let none = Self { serial: None, odd: None, members: Members::default() };
        let Some(raw) = wire.take("version", "version", aside) else { return none };
        let (found, name, members) = match Members::of(raw) {
            Some(mut members) => {
                (members.take("serial", "version.serial", aside), "version.serial", members)
            }
            None => (Some(raw), "version", none.members),
        };
        let serial = found.and_then(json::text);
        let odd = found.filter(|_| serial.is_none());
        if let Some(raw) = odd {
            aside.odd(name, raw);
        }
        let serial = serial.filter(|serial| !serial.is_empty()).map(Serial);
        Self { serial, odd: odd.map(|_| name), members }
    }

    /// The version, with the defaults CHA-M4k6 and CHA-M4k7: an absent or empty `version.serial` is
    /// the message's own serial.
    fn read(self, timestamp: Option<i64>, serial: &Serial, aside: &mut Aside) -> Version {
        let mut members = self.members;
        let own_time = members.get("timestamp", "version.timestamp", aside, json::whole);
        let version = Version {
            serial: self.serial.unwrap_or_else(|| serial.clone()),
            timestamp: own_time.or(timestamp).unwrap_or(0),
            client_id: members.get("clientId", "version.clientId", aside, json::text),
            description: members.get("description", "version.description", aside, json::text),
            metadata: members.get("metadata", "version.metadata", aside, json::object),
        };
        members.keep_left("version.", aside);
        version
    }
}

/// A summary of its own right. What it repeats of its message is not read.
fn summary_of(
    mut wire: Members<'_>,
    room: RoomName,
    serial: Serial,
    entry: &mut Entry,
) -> SummaryOf {
    let mut aside = Aside::default();
    let timestamp = wire.get("timestamp", "timestamp", &mut aside, json::whole);
    let version = WireVersion::take(&mut wire, &mut aside).serial;
    let found = summary(&mut wire, &mut aside);
    // On a summary event, absence means that no reaction is left; something odd means nothing.
    let is_unreadable = found.is_none() && aside.odd.iter().any(|name| OF_SUMMARY.contains(name));
    let mut summary = found.unwrap_or_default();
    summary.annotations.extend(aside.members);
    entry.odd = aside.odd;
    SummaryOf {
        version: version.unwrap_or_else(|| serial.clone()),
        room,
        serial,
        timestamp: timestamp.unwrap_or(0),
        summary,
        is_unreadable,
    }
}

/// Where a summary may be.
const OF_SUMMARY: [&str; 3] = ["annotations", "annotations.summary", "summary"];

/// The summary, in `annotations` or where it was before (features spec TM2q).
fn summary(wire: &mut Members<'_>, aside: &mut Aside) -> Option<Summary> {
    let mut annotations = object(wire, "annotations", aside);
    let found = annotations.get("summary", "annotations.summary", aside, summary::read);
    annotations.keep_left("annotations.", aside);
    let former = match found {
        Some(_) => None,
        None => wire.get("summary", "summary", aside, summary::read),
    };
    wire.forget(&["summary"]);
    found.or(former)
}
