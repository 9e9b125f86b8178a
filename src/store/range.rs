//! What the table holds of a range of messages, whole and as it arrived: for comparing with Ably's
//! history, and for receipts. Readers of chats use [`Store::page`].

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::try_join;

use crate::chat::{ChatMessage, RoomName, Serial};
use crate::store::digest::{VersionsDigest, version_line};
use crate::store::error::{StoreError, lost_the_race};
use crate::store::item::{self, Item};
use crate::store::key::{self, Key, Kind};
use crate::store::query::{Asked, Items};
use crate::store::read_item::{self, ReactionsRow, Unreadable};
use crate::store::table::Store;

/// The rows of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Archived {
    /// The row of its latest version.
    pub latest: Option<ChatMessage>,
    /// The rows of its versions.
    pub versions: BTreeMap<Serial, VersionRow>,
    /// The row of its current reactions.
    pub reactions: Option<ReactionsRow>,
    /// Rows that are none of this program's, or were changed since: which, and what is wrong.
    pub unreadable: Vec<String>,
}

/// The row of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRow {
    /// The version.
    pub message: ChatMessage,
    /// The digest of all versions up to this one, noted when they last were those at Ably.
    pub settled: Option<String>,
}

impl Archived {
    /// Every version that some row holds.
    #[must_use]
    pub fn all_versions(&self) -> BTreeMap<&Serial, &ChatMessage> {
        let versions = self.versions.iter().map(|(serial, row)| (serial, &row.message));
        let latest = self.latest.iter().map(|latest| (&latest.version.serial, latest));
        latest.chain(versions).collect()
    }

    /// The number and the digest of the version rows up to this version.
    #[must_use]
    pub fn digest(&self, latest: &Serial) -> (u64, String) {
        let mut digest = VersionsDigest::default();
        for row in self.versions.range(..=latest).map(|(_, row)| row) {
            digest.add(&version_line(&row.message));
        }
        digest.finish()
    }

    /// The number of versions up to this one, if all of them were found to be those at Ably before,
    /// and still are as they were then.
    #[must_use]
    pub fn settled(&self, latest: &Serial) -> Option<u64> {
        let noted = self.versions.get(latest)?.settled.as_deref()?;
        let (count, digest) = self.digest(latest);
        (digest == noted).then_some(count)
    }
}

/// Messages of a room with all their rows, in the order of their serials, read as they are asked
/// for.
pub struct ArchivedMessages<'a> {
    store: &'a Store,
    rows: [RowsOfKind; 3],
}

/// The rows of one kind, read ahead by one.
struct RowsOfKind {
    kind: Kind,
    items: Items,
    head: Option<(Serial, Item)>,
}

impl RowsOfKind {
    async fn peek(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.head.is_none()
            && let Some(item) = self.items.next().await
        {
            let item = item.map_err(|error| store.unread(&error))?;
            let sort_key = item.get(key::SK).and_then(|value| value.as_s().ok());
            let serial = key::serial_of(sort_key.map_or("", String::as_str));
            self.head = Some((serial, item));
        }
        Ok(())
    }
}

impl ArchivedMessages<'_> {
    /// The next message. A row that cannot be read is part of it, as [`Archived::unreadable`].
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn next(&mut self) -> Result<Option<(Serial, Archived)>, StoreError> {
        let [latest, versions, reactions] = &mut self.rows;
        let store = self.store;
        try_join!(latest.peek(store), versions.peek(store), reactions.peek(store))?;
        let heads = self.rows.iter().filter_map(|rows| Some(&rows.head.as_ref()?.0));
        let Some(serial) = heads.min().cloned() else { return Ok(None) };
        let mut archived = Archived::default();
        for rows in &mut self.rows {
            while let Some((_, item)) = rows.head.take_if(|(of, _)| *of == serial) {
                if let Err(reason) = archived.add(rows.kind, &item) {
                    archived.unreadable.push(store.unreadable(&item, reason).to_string());
                }
                rows.peek(store).await?;
            }
        }
        Ok(Some((serial, archived)))
    }
}

impl Archived {
    fn add(&mut self, kind: Kind, item: &Item) -> Result<(), Unreadable> {
        match kind {
            Kind::Message => self.latest = Some(read_item::to_message(item)?),
            Kind::Version => {
                let message = read_item::to_message(item)?;
                let settled = item.get(item::SETTLED).and_then(|value| value.as_s().ok()).cloned();
                let row = VersionRow { settled, message };
                self.versions.insert(row.message.version.serial.clone(), row);
            }
            _ => self.reactions = Some(read_item::to_reactions_row(item)?.1),
        }
        Ok(())
    }
}

impl Store {
    /// The rows of a room's messages from one serial to another, both included, message by message.
    #[must_use]
    pub fn archived_messages(
        &self,
        room: &RoomName,
        (first, last): (&Serial, &Serial),
        is_consistent: bool,
    ) -> ArchivedMessages<'_> {
        let rows = [Kind::Message, Kind::Version, Kind::Reactions].map(|kind| {
            let bounds = (kind.from(first), kind.after(last));
            let items = self.items(room, bounds, Asked::OLDEST_FIRST, is_consistent);
            RowsOfKind { kind, items, head: None }
        });
        ArchivedMessages { store: self, rows }
    }

    /// The same, all at once.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn read_range(
        &self,
        room: &RoomName,
        range: (&Serial, &Serial),
        is_consistent: bool,
    ) -> Result<BTreeMap<Serial, Archived>, StoreError> {
        let mut messages = self.archived_messages(room, range, is_consistent);
        let mut archive = BTreeMap::new();
        while let Some((serial, archived)) = messages.next().await? {
            archive.insert(serial, archived);
        }
        Ok(archive)
    }

    /// Whether the table holds anything of a room that was said there.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn knows(&self, room: &RoomName) -> Result<bool, StoreError> {
        let asked = Asked { page_size: Some(1), is_whole: false, ..Asked::OLDEST_FIRST };
        for kind in [Kind::Message, Kind::Version, Kind::Reactions] {
            let mut rows = self.items(room, kind.all(), asked, false);
            if let Some(row) = rows.next().await {
                return row.map(|_| true).map_err(|error| self.unread(&error));
            }
        }
        Ok(false)
    }

    fn readable<T>(
        &self,
        item: &Item,
        read: impl Fn(&Item) -> Result<T, Unreadable>,
    ) -> Result<T, StoreError> {
        read(item).map_err(|reason| self.unreadable(item, reason))
    }

    /// The annotations that are stored of a room's messages from one serial to another, both
    /// included: serials of message and annotation.
    ///
    /// # Errors
    /// When the table could not be read, or holds a row that is not this program's.
    pub async fn annotations(
        &self,
        room: &RoomName,
        (first, last): (&Serial, &Serial),
        is_consistent: bool,
    ) -> Result<BTreeSet<(Serial, Serial)>, StoreError> {
        let bounds = (Kind::Reaction.from(first), Kind::Reaction.after(last));
        let mut items = self.items(room, bounds, Asked::OLDEST_FIRST, is_consistent);
        let mut found = BTreeSet::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| self.unread(&error))?;
            found.insert(self.readable(&item, read_item::to_annotation_key)?);
        }
        Ok(found)
    }

    /// Notes on a version's row the digest of all versions up to it, which are those at Ably. Does
    /// nothing if the row is gone.
    ///
    /// # Errors
    /// When the table could not be asked.
    pub async fn note_versions_digest(
        &self,
        room: &RoomName,
        (serial, version): (&Serial, &Serial),
        digest: String,
    ) -> Result<(), StoreError> {
        let Ok(key) = Key::version(room, serial, version) else { return Ok(()) };
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes().into()))
            .update_expression("SET #settled = :digest")
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", key::PK)
            .expression_attribute_names("#settled", item::SETTLED)
            .expression_attribute_values(":digest", AttributeValue::S(digest));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if lost_the_race(&error) => Ok(()),
            Err(error) => Err(StoreError::from_sdk("dynamodb:UpdateItem", &self.table, &error)),
        }
    }
}
