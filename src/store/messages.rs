//! The messages of a room in order, read as they are asked for: rows of every `VERSIONS` mode and
//! reactions side by side, the three kinds at once.

use std::collections::BTreeMap;

use futures_util::try_join;

use crate::chat::{ChatMessage, RoomName, Serial, Summary};
use crate::store::error::StoreError;
use crate::store::item::Item;
use crate::store::key::{self, Kind};
use crate::store::query::{Asked, Direction, Items};
use crate::store::read_item;
use crate::store::settings::KeepVersions;
use crate::store::table::Store;

/// Items asked for at once; DynamoDB stops at 1 MB by itself. Fewer would be a request for each
/// few of what is passed over.
const PAGE_SIZES: std::ops::RangeInclusive<usize> = 100..=1_000;
/// Rows of versions of one message that are passed over one by one; then the rest is jumped over.
const MOST_VERSIONS: usize = 200;

/// Where reading starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the room's newest or oldest message.
    Edge,
    /// At this message, itself included. Newest first, messages whose serial extends the given one
    /// by `:…` are included too: the SDKs' bounds often lack the last part (Chat spec CHA-M5g).
    From(Serial),
    /// Past this message: where an earlier page ended ([`crate::store::Page::next`]).
    After(Serial),
}

/// A message, as it was at some time or is now.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) serial: Serial,
    /// The newest version until then; `None` if no row holds one of that time.
    pub(super) message: Option<ChatMessage>,
    /// When the message was created, by whichever row: ms since the epoch.
    pub(super) created: i64,
    pub(super) reactions: Option<Summary>,
}

/// Reads a room's messages.
pub(super) struct Messages<'a> {
    store: &'a Store,
    room: &'a RoomName,
    direction: Direction,
    /// The time of which the room is read, in ms since the epoch; `None` is now.
    as_of: Option<i64>,
    page_size: usize,
    latest: Rows,
    versions: Rows,
    reactions: Rows,
    /// Rows that could not be read: which, and why.
    pub(super) unreadable: Vec<String>,
}

/// The rows of one kind, read ahead by one.
struct Rows {
    items: Items,
    head: Option<(Serial, Item)>,
    /// The message whose rows are not wanted.
    skipped: Option<Serial>,
    /// Whether they are read as a whole, and not their keys alone.
    is_whole: bool,
}

impl Rows {
    async fn peek(&mut self, store: &Store) -> Result<(), StoreError> {
        while self.head.is_none()
            && let Some(item) = self.items.next().await
        {
            let item = item.map_err(|error| store.unread(&error))?;
            let serial = key::serial_of(sort_key(&item));
            if self.skipped.as_ref() != Some(&serial) {
                self.head = Some((serial, item));
            }
        }
        Ok(())
    }

    fn serial(&self) -> Option<&Serial> {
        self.head.as_ref().map(|(serial, _)| serial)
    }

    /// The next row, if it belongs to this message.
    fn take(&mut self, serial: &Serial) -> Option<Item> {
        self.head.take_if(|(of, _)| of == serial).map(|(_, item)| item)
    }
}

impl Store {
    /// Reads the messages of a room from `start` on, some `expected` of them.
    pub(super) fn messages<'a>(
        &'a self,
        room: &'a RoomName,
        (start, direction): (&Start, Direction),
        as_of: Option<i64>,
        expected: usize,
    ) -> Messages<'a> {
        let page_size = page_size(expected);
        let rows = |kind: Kind, is_whole| {
            let (bounds, skipped) = bounds(kind, start, direction);
            let asked = Asked { direction, page_size: Some(page_size), is_whole };
            Rows { items: self.items(room, bounds, asked, false), head: None, skipped, is_whole }
        };
        // What a version's row says, its key does for most: the latest row holds it too.
        let is_whole = as_of.is_some() || self.settings.versions == KeepVersions::All;
        Messages {
            store: self,
            room,
            direction,
            as_of,
            page_size,
            latest: rows(Kind::Message, true),
            versions: rows(Kind::Version, is_whole),
            reactions: rows(Kind::Reactions, true),
            unreadable: Vec::new(),
        }
    }
}

impl Messages<'_> {
    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, StoreError> {
        let Self { store, latest, versions, reactions, .. } = self;
        try_join!(latest.peek(store), versions.peek(store), reactions.peek(store))?;
        let Some(serial) = self.first() else { return Ok(None) };
        let mut found = Found { serial, message: None, created: 0, reactions: None };
        while let Some(item) = self.latest.take(&found.serial) {
            self.add(&item, &mut found);
            self.latest.peek(self.store).await?;
        }
        self.add_versions(&mut found).await?;
        found.reactions = self.summary(&found.serial).await?;
        Ok(Some(found))
    }

    /// The message whose turn it is.
    fn first(&self) -> Option<Serial> {
        let heads = (self.latest.serial(), self.versions.serial());
        let first = match heads {
            (Some(one), Some(other)) => match self.direction {
                Direction::NewestFirst => one.max(other),
                Direction::OldestFirst => one.min(other),
            },
            (one, other) => one.or(other)?,
        };
        Some(first.clone())
    }

    /// Takes a row into account, if it is of the time that is read.
    fn add(&mut self, item: &Item, found: &mut Found) {
        let message = match read_item::to_message(item) {
            Ok(message) => message,
            Err(reason) => {
                let error = self.store.unreadable(item, reason);
                return self.unreadable.push(error.to_string());
            }
        };
        found.created = message.timestamp;
        let is_of_then = self.as_of.is_none_or(|then| message.version.timestamp <= then);
        let is_newer =
            |known: &ChatMessage| message.version.serial.is_newer_than(&known.version.serial);
        if is_of_then && found.message.as_ref().is_none_or(is_newer) {
            found.message = Some(message);
        }
    }

    async fn add_versions(&mut self, found: &mut Found) -> Result<(), StoreError> {
        let mut passed = 0;
        while let Some(item) = self.versions.take(&found.serial) {
            if self.versions.is_whole {
                self.add(&item, found);
            } else if self.is_newer(&item, found) {
                // A version that no latest row holds: from here on, rows are read as a whole, this
                // message's again.
                self.versions = self.whole_versions(&found.serial);
            }
            passed += 1;
            if passed >= MOST_VERSIONS && self.as_of.is_none() {
                return self.jump(found).await;
            }
            self.versions.peek(self.store).await?;
        }
        Ok(())
    }

    /// Leaves a message's rows of versions behind, of which the newest alone is read.
    async fn jump(&mut self, found: &mut Found) -> Result<(), StoreError> {
        let of_message = (Kind::Version.from(&found.serial), Kind::Version.after(&found.serial));
        let (direction, page_size) = (Direction::NewestFirst, Some(1));
        let asked = Asked { direction, page_size, is_whole: true };
        let mut newest = self.store.items(self.room, of_message, asked, false);
        if let Some(item) = newest.next().await {
            self.add(&item.map_err(|error| self.store.unread(&error))?, found);
        }
        let (mut low, mut high) = Kind::Version.all();
        match self.direction {
            Direction::NewestFirst => high = Kind::Version.from(&found.serial),
            Direction::OldestFirst => low = Kind::Version.after(&found.serial),
        }
        let is_whole = self.versions.is_whole;
        self.versions = self.versions_within((low, high), is_whole);
        self.versions.peek(self.store).await
    }

    /// Whether the key of a version's row is of a newer one than is known.
    fn is_newer(&self, item: &Item, found: &Found) -> bool {
        let version = key::version_of(sort_key(item));
        found.message.as_ref().is_none_or(|known| version.is_newer_than(&known.version.serial))
    }

    /// The rows of versions from this message on, as a whole.
    fn whole_versions(&self, serial: &Serial) -> Rows {
        let (mut low, mut high) = Kind::Version.all();
        match self.direction {
            Direction::NewestFirst => high = Kind::Version.after(serial),
            Direction::OldestFirst => low = Kind::Version.from(serial),
        }
        self.versions_within((low, high), true)
    }

    fn versions_within(&self, bounds: (String, String), is_whole: bool) -> Rows {
        let asked = Asked { direction: self.direction, page_size: Some(self.page_size), is_whole };
        let items = self.store.items(self.room, bounds, asked, false);
        Rows { items, head: None, skipped: None, is_whole }
    }

    /// The reactions to a message. Some may belong to messages that nobody has stored.
    async fn summary(&mut self, serial: &Serial) -> Result<Option<Summary>, StoreError> {
        loop {
            let Some((of, _)) = &self.reactions.head else { return Ok(None) };
            let is_earlier = match self.direction {
                Direction::NewestFirst => of > serial,
                Direction::OldestFirst => of < serial,
            };
            if is_earlier {
                self.reactions.head = None;
                self.reactions.peek(self.store).await?;
                continue;
            }
            let Some(item) = self.reactions.take(serial) else { return Ok(None) };
            return Ok(match read_item::to_summary(&item) {
                Ok((_, summary)) => Some(summary),
                Err(reason) => {
                    self.unreadable.push(self.store.unreadable(&item, reason).to_string());
                    None
                }
            });
        }
    }
}

/// The sort keys from `start` on, and the message among them that is not wanted.
fn bounds(kind: Kind, start: &Start, direction: Direction) -> ((String, String), Option<Serial>) {
    let (mut low, mut high) = kind.all();
    let mut skipped = None;
    match (start, direction) {
        (Start::Edge, _) => {}
        (Start::From(serial), Direction::OldestFirst) => low = kind.from(serial),
        (Start::From(serial), Direction::NewestFirst) => high = kind.up_to(serial),
        (Start::After(serial), Direction::OldestFirst) => low = kind.after(serial),
        (Start::After(serial), Direction::NewestFirst) => {
            high = kind.from(serial); // the message's own latest row still lies within it
            skipped = Some(serial.clone());
        }
    }
    ((low, high), skipped)
}

fn page_size(expected: usize) -> usize {
    expected.saturating_add(1).clamp(*PAGE_SIZES.start(), *PAGE_SIZES.end())
}

fn sort_key(item: &Item) -> &str {
    item.get(key::SK).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Stored versions of one message.
#[derive(Debug, Default)]
pub(super) struct VersionsFound {
    pub(super) versions: BTreeMap<Serial, ChatMessage>,
    /// Whether there are newer ones.
    pub(super) more: bool,
    /// Rows that could not be read: which, and why.
    pub(super) unreadable: Vec<String>,
}

impl Store {
    /// Reads the stored versions of one message that are newer than `after`: `limit` at most, and
    /// no more of them once they have `most_bytes`.
    pub(super) async fn versions_after(
        &self,
        room: &RoomName,
        (serial, after): (&Serial, Option<&Serial>),
        (limit, most_bytes): (usize, usize),
    ) -> Result<VersionsFound, StoreError> {
        let mut found = VersionsFound::default();
        let of_message = |kind: Kind| (kind.from(serial), kind.after(serial));
        let (low, high) = of_message(Kind::Version);
        let low = after.map_or(low, |after| Kind::Version.after_version(serial, after));
        let page_size = page_size(limit);
        let asked = Asked { page_size: Some(page_size), ..Asked::OLDEST_FIRST };
        let mut rows = self.items(room, (low, high), asked, false);
        let mut bytes = 0;
        while let Some(item) = rows.next().await {
            if found.versions.len() >= limit || bytes >= most_bytes {
                found.more = true;
                break;
            }
            let version = self.add_version(&item.map_err(|error| self.unread(&error))?, &mut found);
            bytes += version.map_or(0, ChatMessage::bytes);
        }
        // The latest row holds a version of its own where no row of versions does.
        let mut latest = self.items(room, of_message(Kind::Message), Asked::OLDEST_FIRST, false);
        while let Some(item) = latest.next().await {
            let item = item.map_err(|error| self.unread(&error))?;
            let mut alone = VersionsFound::default();
            let is_of_message = key::serial_of(sort_key(&item)) == *serial;
            self.add_version(&item, &mut alone);
            found.unreadable.append(&mut alone.unreadable);
            alone.versions.retain(|version, _| {
                let is_ahead = after.is_none_or(|after| version.is_newer_than(after));
                is_of_message && is_ahead && !found.versions.contains_key(version)
            });
            found.add_latest(alone.versions, limit);
        }
        Ok(found)
    }

    fn add_version<'a>(
        &self,
        item: &Item,
        found: &'a mut VersionsFound,
    ) -> Option<&'a ChatMessage> {
        match read_item::to_message(item) {
            Ok(message) => {
                let version = message.version.serial.clone();
                Some(found.versions.entry(version).or_insert(message))
            }
            Err(reason) => {
                found.unreadable.push(self.unreadable(item, reason).to_string());
                None
            }
        }
    }
}

impl VersionsFound {
    /// Adds the version of a latest row at its place; behind rows that are still to come, it is
    /// theirs to bring it.
    fn add_latest(&mut self, latest: BTreeMap<Serial, ChatMessage>, limit: usize) {
        let end = self.versions.last_key_value().map(|(version, _)| version.clone());
        for (version, message) in latest {
            let is_behind = end.as_ref().is_none_or(|end| version.is_newer_than(end));
            if !(self.more && is_behind) {
                self.versions.insert(version, message);
            }
        }
        while self.versions.len() > limit {
            self.versions.pop_last();
            self.more = true;
        }
    }
}
