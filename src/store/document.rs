//! Rows about a room as a whole, which are no messages: receipts, checkpoints, states. Each is a
//! value of the caller's, its members attributes of the row.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chat::RoomName;
use crate::store::attribute;
use crate::store::error::StoreError;
use crate::store::item::{self, Item};
use crate::store::key::{self, Key, Kind};
use crate::store::query::{Asked, Direction};
use crate::store::table::Store;
use crate::time;

/// What key names, sort key and `expiresAt` take, at most.
const SPARE_BYTES: usize = 100;

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// What was seen of a room at Ably and in the table: `receipt#<from>#<until>`.
    Receipt,
    /// How far a room's walk has come: `checkpoint#<from>`.
    Checkpoint,
    /// How far something else has come: `state#<what>`.
    State,
}

/// A document that cannot be read: it was altered, or is of another version of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableDocument {
    /// Its sort key.
    pub sort_key: String,
}

impl Document {
    fn kind(self) -> Kind {
        match self {
            Self::Receipt => Kind::Receipt,
            Self::Checkpoint => Kind::Checkpoint,
            Self::State => Kind::State,
        }
    }
}

impl Store {
    /// Writes a document over whatever was there. `since`, in ms since the epoch, is when the
    /// oldest message it is about was created: with `RETENTION_DAYS`, it expires with that.
    ///
    /// # Errors
    /// When the table could not be asked, or refuses the row.
    pub async fn put_document(
        &self,
        (room, document, name): (&RoomName, Document, &str),
        value: &impl Serialize,
        since: Option<i64>,
    ) -> Result<(), StoreError> {
        let failed = |detail: String| StoreError::local("dynamodb:PutItem", &self.table, detail);
        let key =
            Key::document(room, document.kind(), name).map_err(|it| failed(it.to_string()))?;
        let mut item = to_item(value).ok_or_else(|| failed("not a map".into()))?;
        if let (Some(days), Some(since)) = (self.settings.retention_days, since) {
            let expires_at = since / 1_000 + i64::from(days) * 86_400;
            item.insert("expiresAt".into(), AttributeValue::N(expires_at.to_string()));
        }
        item.extend(key.attributes());
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let written = request.send().await.map(drop);
        written.map_err(|error| StoreError::from_sdk("dynamodb:PutItem", &self.table, &error))
    }

    /// DynamoDB's write units for a document of this room: one for each KB begun.
    #[must_use]
    pub fn document_write_units(&self, room: &RoomName, value: &impl Serialize) -> u64 {
        let bytes = to_item(value).map_or(0, |item| item::size(&item)) + room.0.len();
        (bytes + SPARE_BYTES).div_ceil(1_024) as u64
    }

    /// Reads a room's documents of one kind, in the order of their names; the sort key of one that
    /// cannot be read.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn documents<T: DeserializeOwned>(
        &self,
        room: &RoomName,
        document: Document,
        (direction, limit): (Direction, Option<usize>),
    ) -> Result<Vec<Result<T, UnreadableDocument>>, StoreError> {
        let bounds = document.kind().all();
        let mut items =
            self.items(room, bounds, Asked { direction, page_size: limit, is_whole: true }, true);
        let mut found = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| self.unread(&error))?;
            // DynamoDB removes what has expired within days.
            if !has_expired(&item) {
                let sort_key = item.get(key::SK).and_then(|it| it.as_s().ok()).cloned();
                let sort_key = sort_key.unwrap_or_default();
                found.push(from_item(item).ok_or(UnreadableDocument { sort_key }));
            }
            if limit.is_some_and(|limit| found.len() >= limit) {
                break;
            }
        }
        Ok(found)
    }

    /// Reads one document; `None` if there is none, or one that is none of this program's.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn document<T: DeserializeOwned>(
        &self,
        room: &RoomName,
        document: Document,
        name: &str,
    ) -> Result<Option<T>, StoreError> {
        let Ok(key) = Key::document(room, document.kind(), name) else { return Ok(None) };
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes().into()))
            .consistent_read(true);
        match request.send().await {
            Ok(output) => Ok(output.item.and_then(from_item)),
            Err(error) => Err(StoreError::from_sdk("dynamodb:GetItem", &self.table, &error)),
        }
    }

    /// Removes a document, if it is there.
    ///
    /// # Errors
    /// When the table could not be asked.
    pub async fn remove_document(
        &self,
        room: &RoomName,
        document: Document,
        name: &str,
    ) -> Result<(), StoreError> {
        let Ok(key) = Key::document(room, document.kind(), name) else { return Ok(()) };
        let request = self.client.delete_item().table_name(&self.table);
        let removed = request.set_key(Some(key.attributes().into())).send().await.map(drop);
        removed.map_err(|error| StoreError::from_sdk("dynamodb:DeleteItem", &self.table, &error))
    }
}

fn has_expired(item: &Item) -> bool {
    let expires_at = item.get("expiresAt").and_then(|it| it.as_n().ok()?.parse::<i64>().ok());
    expires_at.is_some_and(|seconds| seconds <= time::now() / 1_000)
}

fn to_item(value: &impl Serialize) -> Option<Item> {
    let json = serde_json::to_string(value).ok()?;
    match attribute::native(&json, 0)? {
        AttributeValue::M(item) => Some(item),
        _ => None,
    }
}

fn from_item<T: DeserializeOwned>(mut item: Item) -> Option<T> {
    for name in [key::PK, key::SK, "expiresAt"] {
        item.remove(name);
    }
    let json = attribute::to_json(&AttributeValue::M(item))?;
    serde_json::from_str(&json).ok()
}
