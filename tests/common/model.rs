//! What must be left of a history: a plain in-memory model that knows the rules of convergence and
//! none of the exporter's code.

use std::collections::BTreeMap;

use ably_chat_exporter::chat::{Action, Serial};
use ably_chat_exporter::store::KeepVersions;

use super::{Op, OpKind};

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
    pub fn versions(&self, room: usize, serial: &Serial, mode: KeepVersions) -> Vec<Serial> {
        let versions = &self.versions[&(room, serial.clone())];
        match mode {
            KeepVersions::Latest => versions.keys().next_back().into_iter().cloned().collect(),
            KeepVersions::All | KeepVersions::Both => versions.keys().cloned().collect(),
        }
    }

    /// How many rows of each kind there must be: messages, versions, reactions.
    pub fn rows(&self, mode: KeepVersions) -> [usize; 3] {
        let versions = self.versions.values().map(BTreeMap::len).sum();
        let latest = self.versions.len();
        match mode {
            KeepVersions::Both => [latest, versions, self.reactions.len()],
            KeepVersions::Latest => [latest, 0, self.reactions.len()],
            KeepVersions::All => [0, versions, self.reactions.len()],
        }
    }
}
