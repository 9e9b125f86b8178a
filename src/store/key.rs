//! Keys: nobody else builds or names one. A partition key is a room name and nothing else, so no
//! two rooms can meet; a sort key holds serials, which are kept free of its separator.

use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

use crate::chat::{RoomName, Serial};
use crate::store::digest::hex;
use crate::store::error::Unstorable;

/// The partition key's attribute: the room name.
pub(super) const PK: &str = "pk";
/// The sort key's attribute.
pub(super) const SK: &str = "sk";

/// Between the parts of a sort key.
const SEPARATOR: char = '#';
/// The character after [`SEPARATOR`]: an end that no key of a prefix reaches.
const AFTER_SEPARATOR: char = '$';
/// DynamoDB's limits on key values, in bytes.
const MAX_PK_BYTES: usize = 2_048;
const MAX_SK_BYTES: usize = 1_024;
/// Partitions of one day's rooms: each takes 1,000 writes a second.
const SEEN_ROOMS_SHARDS: u8 = 16;

/// A row's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The room name.
    pub pk: String,
    /// Row kind and serials.
    pub sk: String,
}

impl Key {
    /// The latest version of a message.
    pub(super) fn message(room: &RoomName, serial: &Serial) -> Result<Self, Unstorable> {
        Self::new(room, Kind::Message, &[plain(serial)?])
    }

    /// One version of a message.
    pub(super) fn version(
        room: &RoomName,
        serial: &Serial,
        version: &Serial,
    ) -> Result<Self, Unstorable> {
        Self::new(room, Kind::Version, &[plain(serial)?, plain(version)?])
    }

    /// The current reactions of a message.
    pub(super) fn reactions(room: &RoomName, serial: &Serial) -> Result<Self, Unstorable> {
        Self::new(room, Kind::Reactions, &[plain(serial)?])
    }

    /// A summary as one delivery brought it. A delivery id comes last and may hold anything.
    pub(super) fn snapshot(
        room: &RoomName,
        serial: &Serial,
        delivery: &str,
    ) -> Result<Self, Unstorable> {
        Self::new(room, Kind::Snapshot, &[plain(serial)?, delivery])
    }

    /// One annotation of a message.
    pub(super) fn reaction(
        room: &RoomName,
        serial: &Serial,
        annotation: &Serial,
    ) -> Result<Self, Unstorable> {
        Self::new(room, Kind::Reaction, &[plain(serial)?, plain(annotation)?])
    }

    /// What is known about a room as a whole; `part` holds no separator of a name's.
    pub(super) fn document(room: &RoomName, kind: Kind, part: &str) -> Result<Self, Unstorable> {
        Self::new(room, kind, &[part])
    }

    /// That a room was seen on a day (`2026-11-22`): in one of the day's partitions, by the room's
    /// digest. A real room may be called as the partition is: its rows have sort keys of other
    /// kinds. A name that no sort key could hold is given by its digest.
    pub(super) fn seen_room(room: &RoomName, day: &str) -> Self {
        let digest = Sha256::digest(&room.0);
        let pk = format!("rooms{SEPARATOR}{day}{SEPARATOR}{}", digest[0] % SEEN_ROOMS_SHARDS);
        let mut sk = format!("{}{SEPARATOR}{room}", Kind::Room.word());
        if sk.len() > MAX_SK_BYTES {
            sk = format!("{}{SEPARATOR}{SEPARATOR}{}", Kind::Room.word(), hex(&digest));
        }
        Self { pk, sk }
    }

    /// The partitions that say which rooms were seen on a day. The first is of the time when there
    /// was but one.
    pub(super) fn seen_rooms(day: &str) -> Vec<String> {
        let day = format!("rooms{SEPARATOR}{day}");
        let shard = |shard| format!("{day}{SEPARATOR}{shard}");
        std::iter::once(day.clone()).chain((0..SEEN_ROOMS_SHARDS).map(shard)).collect()
    }

    fn new(room: &RoomName, kind: Kind, parts: &[&str]) -> Result<Self, Unstorable> {
        let mut sk = kind.word().to_owned();
        for part in parts {
            sk.push(SEPARATOR);
            sk.push_str(part);
        }
        if room.0.len() > MAX_PK_BYTES {
            return Err(Unstorable::RoomNameTooLong(room.0.len()));
        }
        if sk.len() > MAX_SK_BYTES {
            return Err(Unstorable::SortKeyTooLong(sk.len()));
        }
        Ok(Self { pk: room.0.clone(), sk })
    }

    /// The key as attributes.
    pub(super) fn attributes(self) -> [(String, AttributeValue); 2] {
        [(PK.into(), AttributeValue::S(self.pk)), (SK.into(), AttributeValue::S(self.sk))]
    }
}

/// A serial that can be part of a key. Ably's hold digits, letters, `-`, `@` and `:`; one with the
/// separator or anything before it could make two keys one, or sort out of turn.
fn plain(serial: &Serial) -> Result<&str, Unstorable> {
    let text = serial.as_str();
    if text.is_empty() || text.bytes().any(|byte| byte <= SEPARATOR as u8) {
        return Err(Unstorable::BadSerial);
    }
    Ok(text)
}

/// The serial of the message that a row belongs to, from its sort key.
pub(super) fn serial_of(sort_key: &str) -> Serial {
    Serial(sort_key.split(SEPARATOR).nth(1).unwrap_or_default().into())
}

/// The version that a version's row holds, from its sort key.
pub(super) fn version_of(sort_key: &str) -> Serial {
    Serial(sort_key.split(SEPARATOR).nth(2).unwrap_or_default().into())
}

/// The rows of a room, by the first word of their sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Version,
    Reactions,
    Snapshot,
    Reaction,
    Receipt,
    Checkpoint,
    State,
    Room,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Version => "version",
            Self::Reactions => "reactions",
            Self::Snapshot => "snapshot",
            Self::Reaction => "reaction",
            Self::Receipt => "receipt",
            Self::Checkpoint => "checkpoint",
            Self::State => "state",
            Self::Room => "room",
        }
    }

    /// Before the first key of this kind, and after the last.
    pub(super) fn all(self) -> (String, String) {
        (format!("{}{SEPARATOR}", self.word()), format!("{}{AFTER_SEPARATOR}", self.word()))
    }

    /// Before every key of messages from `serial` on.
    pub(super) fn from(self, serial: &Serial) -> String {
        format!("{}{SEPARATOR}{serial}", self.word())
    }

    /// After every key of messages up to `serial`, or to one that extends it: the SDKs' bounds
    /// often lack the last part, `:NNN` (Chat spec CHA-M5g).
    pub(super) fn up_to(self, serial: &Serial) -> String {
        format!("{}{SEPARATOR}{serial}:{}", self.word(), char::MAX)
    }

    /// After the key of this version of a message, and before the next one's.
    pub(super) fn after_version(self, serial: &Serial, version: &Serial) -> String {
        format!("{}{SEPARATOR}{serial}{SEPARATOR}{version}!", self.word())
    }

    /// Between the last key of the message and the first of the next.
    pub(super) fn after(self, serial: &Serial) -> String {
        format!("{}{SEPARATOR}{serial}{AFTER_SEPARATOR}", self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName(name.into())
    }

    fn serial(text: &str) -> Serial {
        Serial(text.into())
    }

    #[test]
    fn keys_are_as_documented() {
        let (room, one, two) = (room("a::b#c"), serial("1-0@x:000"), serial("2-0@x:000"));
        let sk = |key: Result<Key, Unstorable>| key.unwrap().sk;
        assert_eq!(Key::message(&room, &one).unwrap().pk, "a::b#c");
        assert_eq!(sk(Key::message(&room, &one)), "message#1-0@x:000");
        assert_eq!(sk(Key::version(&room, &one, &two)), "version#1-0@x:000#2-0@x:000");
        assert_eq!(sk(Key::reactions(&room, &one)), "reactions#1-0@x:000");
        assert_eq!(sk(Key::snapshot(&room, &one, "a#b.0")), "snapshot#1-0@x:000#a#b.0");
        assert_eq!(sk(Key::reaction(&room, &one, &two)), "reaction#1-0@x:000#2-0@x:000");
    }

    #[test]
    fn seen_rooms_have_keys_of_their_own() {
        let key = |name: &str| Key::seen_room(&room(name), "2026-11-22");
        let expected = ("rooms#2026-11-22#1".into(), "room#a#b".into());
        assert_eq!((key("a#b").pk, key("a#b").sk), expected);
        let (long, longer) = (key(&"r".repeat(1_019)), key(&"r".repeat(1_020)));
        assert_eq!(long.sk.len(), MAX_SK_BYTES);
        assert!(longer.sk.starts_with("room##") && longer.sk.len() == 6 + 64);
    }

    #[test]
    fn a_serial_that_could_forge_a_key_is_refused() {
        for bad in ["", "a#b", "a b", "a\0", "a!", "\"a\""] {
            assert_eq!(Key::message(&room("r"), &serial(bad)), Err(Unstorable::BadSerial), "{bad}");
            let key = Key::version(&room("r"), &serial("a"), &serial(bad));
            assert_eq!(key, Err(Unstorable::BadSerial), "{bad}");
        }
    }

    #[test]
    fn keys_stay_within_what_dynamodb_takes() {
        let key = |room_bytes: usize, serial_bytes: usize| {
            Key::message(&room(&"r".repeat(room_bytes)), &serial(&"s".repeat(serial_bytes)))
        };
        assert!(key(2_048, 1_016).is_ok());
        assert_eq!(key(2_049, 1), Err(Unstorable::RoomNameTooLong(2_049)));
        assert_eq!(key(1, 1_017), Err(Unstorable::SortKeyTooLong(1_025)));
    }

    #[test]
    fn bounds_enclose_what_they_say() {
        let (older, exact, extended, newer) = ("1-0", "2-0@x", "2-0@x:001", "3-0");
        let version = |text| Key::version(&room("r"), &serial(text), &serial("9")).unwrap().sk;
        let bound = serial(exact);
        assert!(version(older) < Kind::Version.from(&bound));
        assert!(version(exact) > Kind::Version.from(&bound));
        assert!(version(exact) < Kind::Version.after(&bound));
        assert!(version(extended) > Kind::Version.after(&bound));
        assert!(version(extended) < Kind::Version.up_to(&bound));
        assert!(version(newer) > Kind::Version.up_to(&bound));
        let (first, last) = Kind::Version.all();
        assert!(first < version(older) && version(newer) < last);
    }
}
