//! What Ably says about messages, and the deliveries that bring it.

use ably_chat_exporter::chat::{Action, RoomName, Serial};
use serde_json::{Value, json};

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
