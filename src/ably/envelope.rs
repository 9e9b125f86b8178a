//! The body Ably delivers: one enveloped event, or a batch of them in `items` (Ably docs
//! "Outbound webhooks"). Says what each message in it is: an event, a thing to skip, or a failure.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ably::encoding::CipherKey;
use crate::ably::error::{MessageError, PayloadError};
use crate::ably::json::{self, Kind, Mistyped, Path};
use crate::ably::{body, message, room};
use crate::chat::{ChatEvent, RoomName, Serial};

/// Turns delivered bodies into chat events.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// Refuse envelopes of any other Ably app.
    pub app_id: Option<String>,
    /// Decrypts messages that were published encrypted.
    pub cipher_key: Option<CipherKey>,
}

/// One message of a payload, or one event without messages.
#[derive(Debug)]
pub struct Entry {
    /// What the sender repeats when it sends the same again: the `serial` of a batch's item.
    pub delivery: Option<String>,
    /// Which item of a batch it is in, from 0; `None` in an envelope by itself.
    pub item: Option<usize>,
    /// Which of its envelope's messages it is, from 0.
    pub index: usize,
    /// The room, as far as it could be told.
    pub room: Option<RoomName>,
    /// The message, as far as it could be told.
    pub serial: Option<Serial>,
    /// What the entry says.
    pub outcome: Outcome,
    /// Whether `data` is a string without `encoding` that reads like a chat payload: a sign that
    /// the delivery loses `encoding`. The message is kept as sent, with an empty `text`.
    pub encoding_lost: bool,
}

impl Entry {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self {
            delivery: None,
            item: None,
            index: 0,
            room: None,
            serial: None,
            outcome,
            encoding_lost: false,
        }
    }
}

/// What is to be done with an entry.
#[derive(Debug)]
pub enum Outcome {
    /// Store it.
    Event(ChatEvent),
    /// Not for the archive: count it.
    Skip(Skip),
    /// Ought to be stored and cannot be.
    Fail(MessageError),
}

/// Why something is not for the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Skip {
    /// Presence members entering, leaving, updating.
    Presence,
    /// Channels opening and closing.
    Lifecycle,
    /// Channel occupancy.
    Occupancy,
    /// A channel of Ably's own, such as `[meta]log`.
    Metachannel,
    /// A channel that is not a chat room.
    OtherChannel,
    /// A room channel of the Chat SDK before its single-channel migration.
    LegacyRoom,
    /// Marked ephemeral: typing, room reactions.
    Ephemeral,
    /// On a room's channel under another name than `chat.message`.
    OtherName,
    /// Channel metadata (action 3).
    Meta,
    /// Excluded by `ROOM_FILTER`.
    RoomFilter,
    /// A reaction summary, and `REACTIONS` is `none`.
    ReactionsOff,
}

/// Members of every payload form. An event is told by the array it holds, not by `source`, which
/// Ably's own examples get wrong.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    presence: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    app_id: Option<&'a RawValue>,
}

/// An item of a batch; it has no `appId`, and its channel is `data.channelId`.
#[derive(Deserialize)]
struct Item<'a> {
    source: Option<String>,
    serial: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemData<'a> {
    #[serde(borrow)]
    channel_id: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    presence: Option<&'a RawValue>,
}

impl Decoder {
    /// Reads one delivered body: an entry for each message in it, in its order.
    ///
    /// # Errors
    /// When nothing in the body can be used. A fault in one message is that entry's outcome.
    pub fn decode(&self, body: &[u8]) -> Result<Vec<Entry>, PayloadError> {
        let json = body::json(body)?;
        let body: &RawValue = serde_json::from_slice(&json)
            .map_err(|error| PayloadError::NotJson(json::describe(&error)))?;
        if json::kind(body) != Kind::Object {
            return Err(PayloadError::NotAnObject(json::kind(body).with_article()));
        }
        let payload: Payload<'_> = json::object(body, &Path::Root)?;
        if let Some(items) = payload.items.filter(|items| json::kind(items) == Kind::Array) {
            return self.batch(items);
        }
        let source = match payload.source {
            Some(source) => json::read::<String>(source, &Path::Root.member("source"))?,
            None => String::new(),
        };
        if let (None, Some(_), Some(_)) = (payload.messages, payload.message, payload.room) {
            return Err(PayloadError::BeforePublish);
        }
        let events = Events {
            source: &source,
            messages: payload.messages,
            presence: payload.presence,
            channel: payload.channel,
            path: &Path::Root,
            channel_name: "channel",
        };
        self.check_app(payload.app_id)?;
        self.events(&events)
    }

    fn check_app(&self, app_id: Option<&RawValue>) -> Result<(), PayloadError> {
        let (Some(expected), Some(found)) = (&self.app_id, app_id) else { return Ok(()) };
        let found: String = json::read(found, &Path::Root.member("appId"))?;
        if &found == expected {
            return Ok(());
        }
        Err(PayloadError::WrongApp { found, expected: expected.clone() })
    }

    fn batch(&self, items: &RawValue) -> Result<Vec<Entry>, PayloadError> {
        let path = Path::Root.member("items");
        let items: Vec<&RawValue> = json::read(items, &path)?;
        let mut entries = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let decoded = self.item(item, &path.index(index));
            let decoded =
                decoded.unwrap_or_else(|error| vec![Entry::new(Outcome::Fail(error.into()))]);
            entries.extend(decoded.into_iter().map(|entry| Entry { item: Some(index), ..entry }));
        }
        Ok(entries)
    }

    fn item(&self, item: &RawValue, path: &Path<'_>) -> Result<Vec<Entry>, Mistyped> {
        let item: Item<'_> = json::object(item, path)?;
        let data_path = path.member("data");
        let source = item.source.unwrap_or_default();
        let data = item.data.ok_or_else(|| Mistyped::new(&data_path, "missing"))?;
        let data: ItemData<'_> = json::object(data, &data_path)?;
        let events = Events {
            source: &source,
            messages: data.messages,
            presence: data.presence,
            channel: data.channel_id,
            path: &data_path,
            channel_name: "channelId",
        };
        let mut entries = self.events(&events).map_err(|error| match error {
            PayloadError::Mistyped(mistyped) => mistyped,
            _ => Mistyped::new(&data_path, "neither `messages` nor `presence`"),
        })?;
        for entry in &mut entries {
            entry.delivery.clone_from(&item.serial);
        }
        Ok(entries)
    }

    fn events(&self, events: &Events<'_>) -> Result<Vec<Entry>, PayloadError> {
        let Some(messages) = events.messages else {
            return events.without_messages();
        };
        let path = events.path.member("messages");
        let messages: Vec<&RawValue> = json::read(messages, &path)?;
        let channel_path = events.path.member(events.channel_name);
        let channel: String = match events.channel {
            Some(channel) => json::read(channel, &channel_path)?,
            None => return Err(Mistyped::new(&channel_path, "missing").into()),
        };
        let room = match room::of_channel(&channel) {
            Ok(room) => room,
            Err(skip) => {
                return Ok(messages.iter().map(|_| Entry::new(Outcome::Skip(skip))).collect());
            }
        };
        Ok(messages
            .into_iter()
            .enumerate()
            .map(|(index, raw)| {
                let key = self.cipher_key.as_ref();
                let entry = message::decode(raw, &path.index(index), &room, key);
                Entry { index, ..entry }
            })
            .collect())
    }
}

/// One item of the batch `body`, by itself as a batch of one (JSON); `None` if there is no such
/// item.
#[must_use]
pub fn batch_of_one(body: &[u8], item: usize) -> Option<String> {
    let json = body::json(body).ok()?;
    let payload: Payload<'_> = serde_json::from_slice(&json).ok()?;
    let items: Vec<&RawValue> = serde_json::from_str(payload.items?.get()).ok()?;
    items.get(item).map(|item| format!("{{\"items\":[{item}]}}"))
}

/// Where the events of an envelope, or of a batch's item, are.
struct Events<'a> {
    source: &'a str,
    messages: Option<&'a RawValue>,
    presence: Option<&'a RawValue>,
    channel: Option<&'a RawValue>,
    path: &'a Path<'a>,
    channel_name: &'static str,
}

impl Events<'_> {
    fn without_messages(&self) -> Result<Vec<Entry>, PayloadError> {
        if let Some(presence) = self.presence {
            let members: Vec<&RawValue> = json::read(presence, &self.path.member("presence"))?;
            return Ok(members.iter().map(|_| Entry::new(Outcome::Skip(Skip::Presence))).collect());
        }
        let skip = match self.source {
            "channel.lifecycle" => Skip::Lifecycle,
            "channel.occupancy" => Skip::Occupancy,
            _ => return Err(PayloadError::NotEnveloped),
        };
        Ok(vec![Entry::new(Outcome::Skip(skip))])
    }
}
