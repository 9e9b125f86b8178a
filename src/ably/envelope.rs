//! The body Ably delivers: one enveloped event, or a batch of them in `items` (Ably docs
//! "Outbound webhooks"). Says what each message in it is: an event, a thing to skip, or a failure.

use std::iter;

use serde_json::value::RawValue;

use crate::ably::body::Body;
use crate::ably::encoding::CipherKey;
use crate::ably::entry::{Entry, Skip, Verdict};
use crate::ably::error::PayloadError;
use crate::ably::json::{self, Kind, Mistyped, Path};
use crate::ably::members::{Aside, Members};
use crate::ably::{message, room};
use crate::chat::RoomName;

/// Turns delivered bodies into chat events.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// Refuse envelopes of any other Ably app.
    pub app_id: Option<String>,
    /// Decrypts messages that were published encrypted.
    pub cipher_key: Option<CipherKey>,
}

impl Decoder {
    /// Reads one delivered body: an entry for each message in it, in its order.
    ///
    /// # Errors
    /// When nothing in the body can be used. A fault in one message is that entry's verdict.
    pub fn decode(&self, body: &[u8]) -> Result<Vec<Entry>, PayloadError> {
        Ok(self.entries(&Body::read(body)?)?.collect())
    }

    /// The same, one entry after the other: no more than one message is decoded at a time.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn entries<'a>(
        &'a self,
        body: &'a Body<'_>,
    ) -> Result<Box<dyn Iterator<Item = Entry> + Send + 'a>, PayloadError> {
        let body: &RawValue = serde_json::from_slice(body.json())
            .map_err(|error| PayloadError::NotJson(error.to_string()))?;
        let not_an_object = || PayloadError::NotAnObject(json::kind(body).with_article());
        let mut payload = Payload::of(Members::of(body).ok_or_else(not_an_object)?);
        if let Some(items) = payload.items() {
            let items = json::array(items, &Path::Root.member("items"))?.into_iter().enumerate();
            return Ok(Box::new(items.flat_map(|(index, item)| self.item(item, index))));
        }
        if payload.is_before_publish() {
            return Err(PayloadError::BeforePublish);
        }
        let events = payload.events("channel", None);
        let app_id = payload.take("appId");
        events.entries(self, self.check_app(app_id)?)
    }

    /// Refuses the events of another app. Where the envelope's app is no string, none of its
    /// messages can be shown to be of this one: the fault is theirs.
    fn check_app(&self, app_id: Option<&RawValue>) -> Result<Option<Mistyped>, PayloadError> {
        let (Some(expected), Some(found)) = (&self.app_id, app_id) else { return Ok(None) };
        let Some(found) = json::text(found) else {
            return Ok(Some(Mistyped::new(&Path::Root.member("appId"), "expected a string")));
        };
        if &found == expected {
            return Ok(None);
        }
        Err(PayloadError::WrongApp { found, expected: expected.clone() })
    }

    /// The entries of a batch's item, which has no `appId`, and its channel in `data.channelId`.
    fn item<'a>(
        &'a self,
        item: &'a RawValue,
        index: usize,
    ) -> impl Iterator<Item = Entry> + use<'a> {
        let read = || -> Result<_, Mistyped> {
            let (path, at) = (Path::Root.member("items"), index);
            let path = path.index(at);
            let mut item = Payload::of(Members::read(item, &path)?);
            let delivery = item.take("serial").and_then(json::text);
            let source = item.take("source");
            let path = path.member("data");
            let data = item.take("data").ok_or_else(|| Mistyped::new(&path, "missing"))?;
            let mut data = Payload::of(Members::read(data, &path)?);
            let events = Events { source, ..data.events("channelId", Some(index)) };
            let entries = events.entries(self, None).map_err(|error| match error {
                PayloadError::Mistyped(mistyped) => mistyped,
                _ => Mistyped::new(&path, "neither `messages` nor `presence`"),
            })?;
            Ok((entries, delivery))
        };
        let (entries, delivery) = read().unwrap_or_else(|error| {
            let entry = Entry::new(Verdict::Fail(error.into()));
            (Box::new(iter::once(entry)), None)
        });
        entries.map(move |entry| Entry { item: Some(index), delivery: delivery.clone(), ..entry })
    }
}

/// Items of the batch `body`, each by itself as a batch of one (JSON), without those that are not
/// there; `None` if `body` is no batch.
#[must_use]
pub fn batches_of_one(body: &[u8], wanted: &[usize]) -> Option<Vec<(usize, String)>> {
    let body = Body::read(body).ok()?;
    let payload: &RawValue = serde_json::from_slice(body.json()).ok()?;
    let items = Payload::of(Members::of(payload)?).items()?;
    let items = json::array(items, &Path::Root).ok()?;
    let found = wanted
        .iter()
        .filter_map(|&wanted| Some((wanted, format!("{{\"items\":[{}]}}", items.get(wanted)?))));
    Some(found.collect())
}

/// Members of an envelope, a batch, or an item of one. What else they have says nothing of a chat.
struct Payload<'a>(Members<'a>);

impl<'a> Payload<'a> {
    fn of(members: Members<'a>) -> Self {
        Self(members)
    }

    fn take(&mut self, name: &'static str) -> Option<&'a RawValue> {
        self.0.take(name, name, &mut Aside::default())
    }

    fn items(&mut self) -> Option<&'a RawValue> {
        self.take("items").filter(|items| json::kind(items) == Kind::Array)
    }

    /// Whether a moderation rule asks if it may publish: one `message`, and a `room` for the
    /// channel.
    fn is_before_publish(&self) -> bool {
        let has = |name| self.0.has(name);
        !has("messages") && has("message") && has("room")
    }

    fn events(&mut self, channel_name: &'static str, item: Option<usize>) -> Events<'a> {
        Events {
            source: self.take("source"),
            messages: self.take("messages"),
            presence: self.take("presence"),
            channel: self.take(channel_name),
            channel_name,
            item,
        }
    }
}

/// Where the events of an envelope, or of a batch's item, are. They are identified by the array
/// they are in, not by `source`, which Ably's own examples get wrong.
struct Events<'a> {
    source: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
    presence: Option<&'a RawValue>,
    channel: Option<&'a RawValue>,
    channel_name: &'static str,
    item: Option<usize>,
}

/// What the messages of an envelope have in common.
enum Common {
    Room(RoomName),
    Skip(Skip),
    Fault(Mistyped),
}

impl<'a> Events<'a> {
    fn entries(
        self,
        decoder: &'a Decoder,
        fault: Option<Mistyped>,
    ) -> Result<Box<dyn Iterator<Item = Entry> + Send + 'a>, PayloadError> {
        let Some(messages) = self.messages else { return self.without_messages() };
        let messages = self.within(|path| json::array(messages, &path.member("messages")))?;
        let common = match (fault, self.room()) {
            (Some(fault), _) | (_, Err(fault)) => Common::Fault(fault),
            (None, Ok(Ok(room))) => Common::Room(room),
            (None, Ok(Err(skip))) => Common::Skip(skip),
        };
        if let (Common::Fault(fault), true) = (&common, messages.is_empty()) {
            return Err(fault.clone().into());
        }
        Ok(Box::new(messages.into_iter().enumerate().map(move |(index, raw)| {
            let entry = match &common {
                Common::Room(room) => self.within(|path| {
                    let path = path.member("messages");
                    message::decode(raw, &path.index(index), room, decoder.cipher_key.as_ref())
                }),
                Common::Skip(skip) => Entry::new(Verdict::Skip(*skip)),
                Common::Fault(fault) => message::unread(raw, fault.clone().into()),
            };
            Entry { index, ..entry }
        })))
    }

    /// Calls `read` with the path of what holds the events.
    fn within<T>(&self, read: impl FnOnce(&Path<'_>) -> T) -> T {
        match self.item {
            None => read(&Path::Root),
            Some(item) => read(&Path::Root.member("items").index(item).member("data")),
        }
    }

    fn room(&self) -> Result<Result<RoomName, Skip>, Mistyped> {
        let fault =
            |reason| self.within(|path| Mistyped::new(&path.member(self.channel_name), reason));
        let channel = self.channel.ok_or_else(|| fault("missing"))?;
        let channel = json::text(channel).ok_or_else(|| fault("expected a string"))?;
        Ok(room::of_channel(&channel))
    }

    fn without_messages(self) -> Result<Box<dyn Iterator<Item = Entry> + Send + 'a>, PayloadError> {
        let skips =
            |skip, count| Box::new((0..count).map(move |_| Entry::new(Verdict::Skip(skip))));
        if let Some(presence) = self.presence {
            let members = self.within(|path| json::array(presence, &path.member("presence")))?;
            return Ok(skips(Skip::Presence, members.len()));
        }
        match self.source.and_then(json::text).as_deref() {
            Some("channel.lifecycle") => Ok(skips(Skip::Lifecycle, 1)),
            Some("channel.occupancy") => Ok(skips(Skip::Occupancy, 1)),
            _ => Err(PayloadError::NotEnveloped),
        }
    }
}
