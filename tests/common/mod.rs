//! Random chat histories, the deliveries that bring them, and what must be left of them: a plain
//! in-memory model that knows the rules of convergence and none of the exporter's code.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod function;
pub mod history;
pub mod sources;

use std::collections::BTreeMap;
use std::time::Duration;

use ably_chat_exporter::ably::Decoder;
use ably_chat_exporter::chat::{Action, RoomName, Serial};
use ably_chat_exporter::ingest::{Ingest, Record, Report};
use ably_chat_exporter::store::{
    Direction, Page, PageRequest, Settings, Start, Store, StoredMessage, Versions,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::Engine;
use tokio::time::Instant;

/// Rooms that a careless key would mix up.
pub const ROOMS: [&str; 3] = ["a", "a::$chat", "a#message#1/ü"];

/// The time of the first message: ms since the epoch.
pub const EPOCH: i64 = 1_767_225_600_000;

/// One thing Ably says about one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    pub room: usize,
    pub message: u32,
    /// 0 for the create.
    pub version: u32,
    pub kind: OpKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum OpKind {
    /// A version, and the summary that rides on it, if any.
    Version(Action, Option<u64>),
    /// A summary: how many reacted.
    Summary(u64),
}

impl Op {
    pub fn room_name(&self) -> RoomName {
        RoomName(ROOMS[self.room].into())
    }

    pub fn serial(&self) -> Serial {
        serial(self.message, 0)
    }

    pub fn version_serial(&self) -> Serial {
        serial(self.message, self.version)
    }

    pub fn text(&self) -> String {
        format!("message {} version {}", self.message, self.version)
    }

    /// The Ably message, in one of the forms Ably's pages show.
    pub fn wire(&self) -> Value {
        let (serial, version) = (self.serial().0, self.version_serial().0);
        let at = |number: u32| EPOCH + i64::from(number) * 1_000;
        let mut message = json!({
            "name": "chat.message", "clientId": "ana", "serial": serial,
            "timestamp": at(self.message),
            "version": {"serial": version, "timestamp": at(self.message) + i64::from(self.version)},
        });
        let summary = |total: u64| {
            if total == 0 {
                return json!({"summary": {}});
            }
            json!({"summary": {"reaction:distinct.v1": {"👍": {"total": total}}}})
        };
        match &self.kind {
            OpKind::Version(action, riding) => {
                message["data"] = json!({"text": self.text(), "metadata": {"v": self.version}});
                message["action"] = match action {
                    Action::Create => json!(0),
                    Action::Update => json!("message.updated"),
                    Action::Delete => json!("message.delete"),
                };
                if let Some(total) = riding {
                    message["annotations"] = summary(*total);
                }
                if self.version == 0 && self.message.is_multiple_of(2) {
                    message.as_object_mut().expect("an object").remove("version");
                }
            }
            OpKind::Summary(total) => {
                message["action"] = json!(4);
                message["annotations"] = summary(*total);
            }
        }
        message
    }
}

/// The serial of a message's nth version; of the message itself for 0.
pub fn serial(message: u32, version: u32) -> Serial {
    let ms = EPOCH + i64::from(message) * 1_000 + i64::from(version);
    Serial(format!("{ms:014}-000@aBcDeFgHi12345678:000"))
}

/// What one delivery brings: a single envelope for one op, else a batch.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: String,
    /// When it reached the event source.
    pub received_at: i64,
    pub ops: Vec<Op>,
}

impl Delivery {
    pub fn body(&self) -> Vec<u8> {
        let channel = |op: &Op| format!("{}::$chat", ROOMS[op.room]);
        let body = match &self.ops[..] {
            [op] => json!({"source": "channel.message", "appId": "aB3dEf",
                           "channel": channel(op), "messages": [op.wire()]}),
            ops => {
                let items = ops.iter().enumerate().map(|(index, op)| {
                    json!({"source": "channel.message", "serial": format!("{}-{index}", self.id),
                           "data": {"channelId": channel(op), "messages": [op.wire()]}})
                });
                json!({"items": items.collect::<Vec<_>>()})
            }
        };
        serde_json::to_vec(&body).expect("a value serialises")
    }
}

/// Histories of several messages in several rooms: creates, updates, deletes, summaries.
pub fn history() -> impl Strategy<Value = Vec<Op>> {
    let version = prop_oneof![3 => Just(Action::Update), 1 => Just(Action::Delete)];
    let riding = || proptest::option::weighted(0.2, 0..5_u64);
    let summaries = || proptest::collection::vec(0..5_u64, 0..3);
    let create = (riding(), summaries());
    let later = proptest::collection::vec((version, riding(), summaries()), 0..4);
    let message = (0..ROOMS.len(), create, later);
    proptest::collection::vec(message, 1..6).prop_map(|messages| {
        let mut ops = Vec::new();
        for (number, (room, (riding, summaries), later)) in (0..).zip(messages) {
            let versions = std::iter::once((Action::Create, riding, summaries)).chain(later);
            for (version, (action, riding, summaries)) in (0..).zip(versions) {
                let op = |kind| Op { room, message: number, version, kind };
                ops.push(op(OpKind::Version(action, riding)));
                ops.extend(summaries.into_iter().map(|total| op(OpKind::Summary(total))));
            }
        }
        ops
    })
}

/// The history shuffled, some of it sent twice, cut into payloads, some of those redelivered.
pub fn deliveries(history: Vec<Op>) -> impl Strategy<Value = Vec<Delivery>> {
    let length = history.len();
    let twice = proptest::collection::vec(any::<bool>(), length);
    let sent = twice.prop_flat_map(move |twice| {
        let again = history.iter().zip(twice).filter(|(_, twice)| *twice).map(|(op, _)| op.clone());
        Just(history.iter().cloned().chain(again).collect::<Vec<_>>()).prop_shuffle()
    });
    let cuts = proptest::collection::vec((1..5_usize, any::<bool>()), 2 * length);
    (sent, cuts).prop_map(|(mut ops, cuts)| {
        let mut deliveries: Vec<Delivery> = Vec::new();
        for (number, (size, again)) in cuts.into_iter().enumerate() {
            if ops.is_empty() {
                break;
            }
            let rest = ops.split_off(size.min(ops.len()));
            // Not the order in which they are taken in.
            let received_at = EPOCH + [2, 0, 1][number % 3];
            let delivery = Delivery { id: format!("delivery-{number}"), received_at, ops };
            if again && deliveries.len() % 2 == 1 {
                deliveries.insert(deliveries.len() / 2, delivery.clone());
            }
            deliveries.push(delivery);
            ops = rest;
        }
        deliveries
    })
}

/// One summary of each version at most: what the deliveries' order decides is not asked here,
/// since a crash leaves it open.
pub fn ordered_by_version(history: Vec<Op>) -> Vec<Op> {
    let mut kept: Vec<Op> = Vec::new();
    for mut op in history {
        if let OpKind::Version(_, riding) = &mut op.kind {
            *riding = None;
        }
        let same = |other: &Op| {
            (other.message, other.version) == (op.message, op.version)
                && matches!((&other.kind, &op.kind), (OpKind::Summary(_), OpKind::Summary(_)))
        };
        if !kept.iter().any(same) {
            kept.push(op);
        }
    }
    kept
}

/// What a reader must see of one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub version: Serial,
    pub action: Action,
    pub text: String,
    pub reactions: u64,
}

/// What must be in the table.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Text and action of each version.
    versions: BTreeMap<(usize, Serial), BTreeMap<Serial, (Action, String)>>,
    /// Current reactions: the version they were seen on, when they arrived, and the total.
    reactions: BTreeMap<(usize, Serial), (Serial, i64, u64)>,
}

impl Model {
    /// Takes in what arrived at `received_at`, in the order in which it is taken in.
    pub fn arrive(&mut self, op: &Op, received_at: i64) {
        let key = (op.room, op.serial());
        match &op.kind {
            OpKind::Version(action, riding) => {
                let text = if *action == Action::Delete { String::new() } else { op.text() };
                let versions = self.versions.entry(key.clone()).or_default();
                versions.insert(op.version_serial(), (*action, text));
                // An empty ride says nothing.
                if let Some(total @ 1..) = riding {
                    self.reactions.entry(key).or_insert((op.serial(), i64::MIN, *total));
                }
            }
            OpKind::Summary(total) => {
                let incoming = (op.version_serial(), received_at, *total);
                let current = self.reactions.entry(key).or_default();
                if (&current.0, current.1) <= (&incoming.0, incoming.1) {
                    *current = incoming;
                }
            }
        }
    }

    /// The room's messages, oldest first.
    pub fn room(&self, room: usize) -> Vec<(Serial, Seen)> {
        let messages = self.versions.iter().filter(|((of, _), _)| *of == room);
        let seen = messages.map(|((_, serial), versions)| {
            let (version, (action, text)) = versions.last_key_value().expect("it has a version");
            let reactions = self.reactions.get(&(room, serial.clone())).map_or(0, |(.., n)| *n);
            let seen =
                Seen { version: version.clone(), action: *action, text: text.clone(), reactions };
            (serial.clone(), seen)
        });
        seen.collect()
    }

    /// The serials of a message's versions, oldest first; those a reader can see in this mode.
    pub fn versions(&self, room: usize, serial: &Serial, mode: Versions) -> Vec<Serial> {
        let versions = &self.versions[&(room, serial.clone())];
        match mode {
            Versions::Latest => versions.keys().next_back().into_iter().cloned().collect(),
            Versions::All | Versions::Both => versions.keys().cloned().collect(),
        }
    }

    /// How many rows of each kind there must be: messages, versions, reactions.
    pub fn rows(&self, mode: Versions) -> [usize; 3] {
        let versions = self.versions.values().map(BTreeMap::len).sum();
        let latest = self.versions.len();
        match mode {
            Versions::Both => [latest, versions, self.reactions.len()],
            Versions::Latest => [latest, 0, self.reactions.len()],
            Versions::All => [0, versions, self.reactions.len()],
        }
    }
}

/// An ingest into the engine.
pub fn ingest(engine: &Engine, settings: Settings) -> Ingest {
    let store = Store::new(engine.client(), Engine::TABLE, settings);
    Ingest { decoder: Decoder::default(), store, room_filter: None, room_index: None }
}

/// Ingests one body as one record.
pub async fn send(ingest: &Ingest, id: &str, body: &[u8]) -> Report {
    let deadline = Instant::now() + Duration::from_secs(30);
    ingest.ingest(&[Record { id, body, received_at: EPOCH }], deadline).await.remove(0)
}

/// Reads a whole room, page by page.
pub async fn whole_room(
    store: &Store,
    room: &str,
    direction: Direction,
    limit: usize,
) -> Vec<StoredMessage> {
    let mut request =
        PageRequest { room: RoomName(room.into()), direction, start: Start::Edge, limit };
    let mut messages = Vec::new();
    loop {
        let Page { messages: found, next } = store.page(&request).await.expect("a page");
        assert!(found.len() <= limit);
        messages.extend(found);
        match next {
            Some(start) => request.start = start,
            None => return messages,
        }
    }
}

/// Compares what readers see with the model: every room both ways, every message, every version.
pub async fn check(store: &Store, model: &Model, mode: Versions) {
    for (room, name) in ROOMS.iter().enumerate() {
        let expected = model.room(room);
        let mut newest_first = expected.clone();
        newest_first.reverse();
        let forwards = whole_room(store, name, Direction::OldestFirst, 2).await;
        assert_eq!(forwards.iter().map(seen).collect::<Vec<_>>(), expected);
        let backwards = whole_room(store, name, Direction::NewestFirst, 2).await;
        assert_eq!(backwards.iter().map(seen).collect::<Vec<_>>(), newest_first);
        let room_name = RoomName((*name).into());
        for (serial, expected) in expected {
            let message = store.message(&room_name, &serial).await.expect("a read");
            assert_eq!(seen(&message.expect("a message")), (serial.clone(), expected));
            let versions = store.versions(&room_name, &serial).await.expect("a read");
            let serials: Vec<_> = versions.into_iter().map(|m| m.version.serial).collect();
            assert_eq!(serials, model.versions(room, &serial, mode));
        }
    }
}

fn seen(message: &StoredMessage) -> (Serial, Seen) {
    let distinct = message.reactions.distinct.get("👍");
    let StoredMessage { message, .. } = message;
    let seen = Seen {
        version: message.version.serial.clone(),
        action: message.action,
        text: message.text.clone(),
        reactions: distinct.map_or(0, |list| list.total),
    };
    (message.serial.clone(), seen)
}

/// How many rows of each kind the table holds: messages, versions, reactions, snapshots.
pub async fn count_rows(engine: &Engine) -> [usize; 4] {
    let mut counts = [0; 4];
    for row in engine.rows().await {
        let sk = row["sk"].as_s().expect("a sort key is a string");
        let kinds = ["message#", "version#", "reactions#", "snapshot#"];
        let kind = kinds.iter().position(|kind| sk.starts_with(kind)).expect("a known row");
        counts[kind] += 1;
    }
    counts
}
