//! A chat as Ably has it, what of it was delivered live, and what the table must hold in the end.

use std::collections::BTreeMap;

use ably_chat_exporter::chat::{RoomName, Serial};
use ably_chat_exporter::store::{Archived, Store};
use serde_json::{Value, json};
use testkit::Ably;

use super::{EPOCH, serial};

/// A message: its versions in the Chat form, oldest first, and how many reacted with 👍.
#[derive(Clone, Debug)]
pub struct Message {
    pub serial: String,
    pub versions: Vec<Value>,
    pub reactions: u64,
}

impl Message {
    /// The nth message of a room, with so many updates, perhaps deleted in the end.
    pub fn new(number: u32, updates: u32, is_deleted: bool, reactions: u64) -> Self {
        let last = updates + u32::from(is_deleted);
        let versions = (0..=last).map(|version| {
            let action = match version {
                0 => "message.create",
                version if is_deleted && version == last => "message.delete",
                _ => "message.update",
            };
            let at = EPOCH + i64::from(number) * 1_000;
            let is_delete = action == "message.delete";
            let text = if is_delete { String::new() } else { format!("text {number} {version}") };
            let mut message = json!({
                "serial": serial(number, 0).0, "clientId": "ana", "text": text, "action": action,
                "metadata": if is_delete { json!({}) } else { json!({"n": number, "v": version}) },
                "headers": {}, "timestamp": at,
                "version": {
                    "serial": serial(number, version).0, "timestamp": at + i64::from(version),
                },
            });
            if version > 0 {
                message["version"]["clientId"] = json!("mod");
            }
            message
        });
        Self { serial: serial(number, 0).0, versions: versions.collect(), reactions }
    }

    /// Tells Ably.
    pub fn publish(&self, ably: &Ably, room: &str) {
        for version in &self.versions {
            ably.publish(room, version.clone());
        }
        if self.reactions > 0 {
            ably.react(room, &self.serial, reactions(self.reactions));
        }
    }

    /// What Ably delivers live of the nth version.
    pub fn delivered(&self, room: &str, version: usize) -> Value {
        let version = &self.versions[version];
        let action = match version["action"].as_str() {
            Some("message.create") => 0,
            Some("message.update") => 1,
            _ => 2,
        };
        let data = json!({"text": version["text"], "metadata": version["metadata"]});
        envelope(
            room,
            &json!({
                "name": "chat.message", "clientId": version["clientId"],
                "serial": version["serial"], "timestamp": version["timestamp"],
                "action": action, "data": data.to_string(),
                "encoding": "json", "version": version["version"],
            }),
        )
    }

    /// What Ably delivers live of the reactions.
    pub fn delivered_reactions(&self, room: &str, total: u64) -> Value {
        let latest = self.versions.last().expect("a version");
        let ids: Vec<String> = (0..total).map(|id| format!("client {id}")).collect();
        let summary = json!({"👍": {"total": total, "clientIds": ids}});
        envelope(
            room,
            &json!({
                "name": "chat.message", "serial": self.serial, "timestamp": latest["timestamp"],
                "action": 4, "version": latest["version"],
                "annotations": {"summary": {"reaction:distinct.v1": summary}},
            }),
        )
    }
}

/// Reactions in the Chat form.
pub fn reactions(total: u64) -> Value {
    let ids: Vec<String> = (0..total).map(|id| format!("client {id}")).collect();
    json!({"unique": {}, "multiple": {},
        "distinct": {"👍": {"total": total, "clientIds": ids, "clipped": false}}})
}

fn envelope(room: &str, message: &Value) -> Value {
    json!({"source": "channel.message", "appId": "aB3dEf", "channel": format!("{room}::$chat"),
           "messages": [message]})
}

/// All rows of a room.
pub async fn archive(store: &Store, room: &str) -> BTreeMap<Serial, Archived> {
    let (first, last) = (Serial("0".into()), Serial("9".into()));
    store
        .read_range(&RoomName(room.into()), (&first, &last), true)
        .await
        .expect("the table is read")
}

/// Compares all rows of a room with what Ably has: messages, versions in both kinds of rows,
/// reactions.
pub async fn check_room(store: &Store, room: &str, messages: &[Message]) {
    let archive = archive(store, room).await;
    let expected: Vec<&str> = messages.iter().map(|message| message.serial.as_str()).collect();
    let found: Vec<&str> = archive.keys().map(Serial::as_str).collect();
    assert_eq!(found, expected, "{room}");
    for message in messages {
        let row = &archive[&Serial(message.serial.clone())];
        let of =
            |version: &Value| version["version"]["serial"].as_str().expect("a serial").to_owned();
        let versions: Vec<String> = message.versions.iter().map(of).collect();
        let found: Vec<&str> = row.versions.keys().map(Serial::as_str).collect();
        assert_eq!(found, versions, "{room} {}", message.serial);
        for (expected, row) in message.versions.iter().zip(row.versions.values()) {
            assert_eq!(row.message.text, expected["text"], "{room} {}", message.serial);
            assert_eq!(
                row.message.action.as_str(),
                expected["action"],
                "{room} {}",
                message.serial
            );
            let metadata: Value =
                serde_json::from_str(row.message.metadata.as_str()).expect("JSON");
            assert_eq!(metadata, expected["metadata"], "{room} {}", message.serial);
        }
        let latest = row.latest.as_ref().expect("a latest version");
        assert_eq!(Some(&latest.version.serial.0), versions.last(), "{room}");
        let total = row.reactions.as_ref().and_then(|row| row.summary.reactions.distinct.get("👍"));
        assert_eq!(
            total.map_or(0, |list| list.total),
            message.reactions,
            "{room} {}",
            message.serial
        );
    }
}
