//! What the table holds of a range of messages, whole and as it arrived: for comparing with Ably's
//! history, and for receipts. Readers of chats use [`Store::page`].

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::try_join;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::chat::{Action, ChatMessage, Data, JsonText, RoomName, Serial, Summary};
use crate::store::Store;
use crate::store::error::{StoreError, lost_the_race};
use crate::store::item::{self, Item};
use crate::store::key::{self, Key, Kind};
use crate::store::page::Direction;

/// The rows of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Archived {
    /// The row of its latest version.
    pub latest: Option<ChatMessage>,
    /// The rows of its versions.
    pub versions: BTreeMap<Serial, VersionRow>,
    /// The row of its current reactions.
    pub reactions: Option<ReactionsRow>,
}

/// The row of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRow {
    /// The version.
    pub message: ChatMessage,
    /// How many versions the message had when all of them were last found in the table, this one being
    /// the latest.
    pub count: Option<usize>,
}

/// The row of current reactions.
#[derive(Clone, Debug, PartialEq)]
pub struct ReactionsRow {
    /// The message version they were seen on.
    pub version: Serial,
    /// When they arrived: ms since the epoch; `None` if they rode on a version.
    pub received_at: Option<i64>,
    /// The state.
    pub summary: Summary,
}

impl Archived {
    /// Every version that some row holds.
    #[must_use]
    pub fn all_versions(&self) -> BTreeMap<&Serial, &ChatMessage> {
        let versions = self.versions.iter().map(|(serial, row)| (serial, &row.message));
        let latest = self.latest.iter().map(|latest| (&latest.version.serial, latest));
        latest.chain(versions).collect()
    }

    /// How many versions the message has up to this one, if all of them were found in the table before
    /// and still are there.
    #[must_use]
    pub fn settled(&self, latest: &Serial) -> Option<usize> {
        let count = self.versions.get(latest).and_then(|row| row.count);
        count.filter(|count| self.versions.range(..=latest).count() >= *count)
    }
}

impl Store {
    /// Reads the rows of a room's messages from one serial to another, both included.
    ///
    /// # Errors
    /// When the table could not be read, or holds a row that is not this program's.
    pub async fn archive(
        &self,
        room: &RoomName,
        (first, last): (&Serial, &Serial),
        is_consistent: bool,
    ) -> Result<BTreeMap<Serial, Archived>, StoreError> {
        let read = async |kind: Kind| {
            let bounds = (kind.from(first), kind.after(last));
            let mut items = self.items(room, bounds, Direction::OldestFirst, None, is_consistent);
            let mut rows: Vec<Item> = Vec::new();
            while let Some(item) = items.next().await {
                rows.push(item.map_err(|error| self.unread(&error))?);
            }
            Ok::<_, StoreError>(rows)
        };
        let (latest, versions, reactions) =
            try_join!(read(Kind::Message), read(Kind::Version), read(Kind::Reactions))?;
        let mut archive: BTreeMap<Serial, Archived> = BTreeMap::new();
        for item in latest {
            let message = self.readable(&item, item::to_message)?;
            let archived = archive.entry(message.serial.clone()).or_default();
            archived.latest = Some(message);
        }
        for item in versions {
            let message = self.readable(&item, item::to_message)?;
            let count = item.get(item::VERSION_COUNT).and_then(|it| it.as_n().ok()?.parse().ok());
            let archived = archive.entry(message.serial.clone()).or_default();
            archived.versions.insert(message.version.serial.clone(), VersionRow { message, count });
        }
        for item in reactions {
            let (serial, row) = self.readable(&item, item::to_reactions_row)?;
            archive.entry(serial).or_default().reactions = Some(row);
        }
        Ok(archive)
    }

    fn readable<T>(
        &self,
        item: &Item,
        read: impl Fn(&Item) -> Result<T, item::Unreadable>,
    ) -> Result<T, StoreError> {
        read(item).map_err(|reason| self.unreadable(item, reason))
    }

    /// The annotations that are stored of a room's messages from one serial to another, both included:
    /// serials of message and annotation.
    ///
    /// # Errors
    /// As [`Store::archive`].
    pub async fn annotations(
        &self,
        room: &RoomName,
        (first, last): (&Serial, &Serial),
    ) -> Result<BTreeSet<(Serial, Serial)>, StoreError> {
        let bounds = (Kind::Reaction.from(first), Kind::Reaction.after(last));
        let mut items = self.items(room, bounds, Direction::OldestFirst, None, false);
        let mut found = BTreeSet::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| self.unread(&error))?;
            found.insert(self.readable(&item, item::to_annotation_key)?);
        }
        Ok(found)
    }

    /// Notes on a version's row that the message has so many versions up to it, and the table all of
    /// them. A row that is gone meanwhile is none to note it on.
    ///
    /// # Errors
    /// When the table could not be asked.
    pub async fn settle(
        &self,
        room: &RoomName,
        (serial, version): (&Serial, &Serial),
        count: usize,
    ) -> Result<(), StoreError> {
        let Ok(key) = Key::version(room, serial, version) else { return Ok(()) };
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes().into()))
            .update_expression("SET #count = :count")
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", key::PK)
            .expression_attribute_names("#count", item::VERSION_COUNT)
            .expression_attribute_values(":count", AttributeValue::N(count.to_string()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if lost_the_race(&error) => Ok(()),
            Err(error) => Err(StoreError::from_sdk("dynamodb:UpdateItem", &self.table, &error)),
        }
    }
}

/// In which members two records of one version differ; none if they are the same to a reader. What a
/// deletion deleted is not compared: Ably blanks it in some places, and keeps it in others.
#[must_use]
pub fn differences(one: &ChatMessage, other: &ChatMessage) -> Vec<&'static str> {
    let (mut differing, has_content) = (Vec::new(), one.action != Action::Delete);
    let mut note = |name, is_same: bool| {
        if !is_same {
            differing.push(name);
        }
    };
    note("action", one.action == other.action);
    note("clientId", one.client_id == other.client_id);
    note("timestamp", one.timestamp == other.timestamp);
    note("userClaim", one.user_claim == other.user_claim);
    note("version.timestamp", one.version.timestamp == other.version.timestamp);
    note("version.clientId", one.version.client_id == other.version.client_id);
    note("version.description", one.version.description == other.version.description);
    let (metadata, others) = (&one.version.metadata, &other.version.metadata);
    let (metadata, others) =
        (metadata.clone().unwrap_or_default(), others.clone().unwrap_or_default());
    note("version.metadata", is_equivalent(&metadata, &others));
    if has_content || other.action != Action::Delete {
        note("text", one.text == other.text);
        note("metadata", is_equivalent(&one.metadata, &other.metadata));
        note("headers", is_equivalent(&one.headers, &other.headers));
    }
    differing
}

/// Whether two texts are the same JSON: the order of members and the spelling of numbers aside.
fn is_equivalent(one: &JsonText, other: &JsonText) -> bool {
    fn same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                one == other || one.as_f64() == other.as_f64()
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                let found = |name| other.get(name);
                one.len() == other.len()
                    && one.iter().all(|(name, value)| found(name).is_some_and(|it| same(value, it)))
            }
            (one, other) => one == other,
        }
    }
    let read = |text: &JsonText| serde_json::from_str::<Value>(text.as_str()).ok();
    one == other || read(one).zip(read(other)).is_some_and(|(one, other)| same(&one, &other))
}

/// A digest of versions, to be given in the order of their serials: SHA-256 over one line of JSON each,
/// `["<serial>","<version.serial>","<SHA-256 of its content>"]` and a newline.
#[derive(Clone, Debug, Default)]
pub struct VersionsDigest {
    lines: Sha256,
    count: u64,
}

impl VersionsDigest {
    /// Takes a version.
    pub fn add(&mut self, message: &ChatMessage) {
        let mut content = Sha256::new();
        content.update(json(message));
        if let Some(raw) = &message.raw {
            content.update(raw.encoding.as_deref().unwrap_or_default());
            content.update(match &raw.data {
                Data::Text(text) => text.as_bytes(),
                Data::Bytes(bytes) => bytes,
            });
        }
        let (serial, version) = (message.serial.as_str(), message.version.serial.as_str());
        self.lines.update(json(&[serial, version, hex(&content.finalize()).as_str()]));
        self.lines.update("\n");
        self.count += 1;
    }

    /// How many there were, and their digest as hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> (u64, String) {
        (self.count, hex(&self.lines.finalize()))
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("chat values have string keys")
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
