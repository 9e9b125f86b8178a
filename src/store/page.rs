//! Reading back: a room's messages in order, one message, the versions of one. Rows of every
//! `VERSIONS` mode are read together and the newest version wins, so that the answer is the same
//! whatever the setting was when they were written.
//!
//! Reads are eventually consistent, DynamoDB's default.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chat::{Action, ChatMessage, JsonText, Reactions, RoomName, Serial, Summary};
use crate::store::error::StoreError;
use crate::store::key::Kind;
use crate::store::query::{Direction, Items};
use crate::store::read_item;
use crate::store::table::Store;

/// Items asked for at once; DynamoDB stops at 1 MB by itself.
const MAX_PAGE_SIZE: usize = 1_000;

/// Where a page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the room's newest or oldest message.
    Edge,
    /// At this message, itself included. Newest first, messages whose serial extends the given one
    /// by `:…` are included too: the SDKs' bounds often lack the last part (Chat spec CHA-M5g).
    From(Serial),
    /// Past this message: where an earlier page ended ([`Page::next`]).
    After(Serial),
}

/// Which messages to read.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The room.
    pub room: RoomName,
    /// The order.
    pub direction: Direction,
    /// The first message.
    pub start: Start,
    /// How many messages at most.
    pub limit: usize,
}

/// Messages of a room, each in its latest version.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// In the order asked for.
    pub messages: Vec<StoredMessage>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Start>,
}

/// A message as a chat window needs it. Serialises to the Chat SDK's `Message`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredMessage {
    /// The latest version; without content if it is a delete.
    #[serde(flatten)]
    pub message: ChatMessage,
    /// The current reactions.
    pub reactions: Reactions,
    /// Annotations of other types.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, JsonText>,
}

impl StoredMessage {
    fn new(message: ChatMessage, summary: Option<Summary>) -> Self {
        let Summary { reactions, annotations } = summary.unwrap_or_default();
        Self { message: message.redacted(), reactions, annotations }
    }

    /// Whether the message was deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.message.action == Action::Delete
    }
}

impl Store {
    /// Reads messages of a room.
    ///
    /// ```
    /// use ably_chat_exporter::chat::RoomName;
    /// use ably_chat_exporter::store::{Direction, PageRequest, Settings, Start, Store};
    /// # use std::time::Duration;
    /// # use ably_chat_exporter::ably::Decoder;
    /// # use ably_chat_exporter::ingest::{Record, Sink};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let engine = testkit::Engine::start().await;
    /// # let (client, table) = (engine.client(), testkit::Engine::TABLE);
    /// # let store = Store::new(client.clone(), table, Settings::default());
    /// # let decoder = Decoder::default();
    /// # let sink = Sink { decoder, store, room_filter: None, room_index: None };
    /// # let body = include_bytes!("../../events/create.json");
    /// # let record = Record { id: "sample", body, received_at: 1_767_225_600_000 };
    /// # let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    /// # sink.store_records(&[record], deadline).await;
    ///
    /// let store = Store::new(client, table, Settings::default());
    /// let mut request = PageRequest {
    ///     room: RoomName("support:42".into()),
    ///     direction: Direction::NewestFirst,
    ///     start: Start::Edge,
    ///     limit: 20,
    /// };
    /// let page = store.page(&request).await?;
    /// for stored in &page.messages {
    ///     println!("{}: {}", stored.message.client_id, stored.message.text);
    /// }
    /// # assert_eq!(page.messages.len(), 1);
    /// # assert!(!page.messages[0].message.text.is_empty());
    /// if let Some(next) = page.next {
    ///     request.start = next; // and so on, page after page
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the table could not be read, or holds a row that is not this program's.
    pub async fn page(&self, request: &PageRequest) -> Result<Page, StoreError> {
        let mut latest = self.rows(Kind::Message, request);
        let mut versions = self.rows(Kind::Version, request);
        let mut messages: Vec<ChatMessage> = Vec::new();
        // One more than asked for, to tell whether there is more.
        while messages.len() <= request.limit {
            let heads = (latest.peek().await?.cloned(), versions.peek().await?.cloned());
            let Some(serial) = first(request.direction, heads) else { break };
            let mut newest: Option<ChatMessage> = None;
            for rows in [&mut latest, &mut versions] {
                while let Some(message) = rows.next_of(&serial).await? {
                    newest = newer(newest, message);
                }
            }
            messages.extend(newest);
        }
        let more = messages.len() > request.limit;
        messages.truncate(request.limit);
        let next = match messages.last() {
            Some(last) if more => Some(Start::After(last.serial.clone())),
            // Asked for nothing: the next page starts where this one would have.
            None if more => Some(request.start.clone()),
            _ => None,
        };
        let mut summaries = self.summaries(&request.room, &messages).await?;
        let messages = messages.into_iter().map(|message| {
            let summary = summaries.remove(&message.serial);
            StoredMessage::new(message, summary)
        });
        Ok(Page { messages: messages.collect(), next })
    }

    /// Reads one message in its latest version; `None` if the table does not know it.
    ///
    /// # Errors
    /// As [`Store::page`].
    pub async fn message(
        &self,
        room: &RoomName,
        serial: &Serial,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let versions = self.versions(room, serial).await?;
        let Some(message) = versions.into_iter().next_back() else { return Ok(None) };
        let summary = self.summaries(room, std::slice::from_ref(&message)).await?.remove(serial);
        Ok(Some(StoredMessage::new(message, summary)))
    }

    /// Reads the stored versions of one message, oldest first; deletes without content.
    ///
    /// # Errors
    /// As [`Store::page`].
    pub async fn versions(
        &self,
        room: &RoomName,
        serial: &Serial,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let mut versions: BTreeMap<Serial, ChatMessage> = BTreeMap::new();
        for kind in [Kind::Message, Kind::Version] {
            let bounds = (kind.from(serial), kind.after(serial));
            let items = self.items(room, bounds, Direction::OldestFirst, None, false);
            let mut rows = Rows { store: self, items, head: None, skipped: None };
            while let Some(message) = rows.next_of(serial).await? {
                versions.insert(message.version.serial.clone(), message);
            }
        }
        Ok(versions.into_values().map(ChatMessage::redacted).collect())
    }

    /// The summaries of the given messages of one room.
    async fn summaries(
        &self,
        room: &RoomName,
        messages: &[ChatMessage],
    ) -> Result<BTreeMap<Serial, Summary>, StoreError> {
        let mut summaries = BTreeMap::new();
        let serials = || messages.iter().map(|message| &message.serial);
        let (Some(first), Some(last)) = (serials().min(), serials().max()) else {
            return Ok(summaries);
        };
        let bounds = (Kind::Reactions.from(first), Kind::Reactions.from(last));
        let mut items = self.items(room, bounds, Direction::OldestFirst, None, false);
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| self.unread(&error))?;
            let (serial, summary) =
                read_item::to_summary(&item).map_err(|reason| self.unreadable(&item, reason))?;
            summaries.insert(serial, summary);
        }
        Ok(summaries)
    }

    fn rows(&self, kind: Kind, request: &PageRequest) -> Rows<'_> {
        let (mut low, mut high) = kind.all();
        let mut skipped = None;
        match (&request.start, request.direction) {
            (Start::Edge, _) => {}
            (Start::From(serial), Direction::OldestFirst) => low = kind.from(serial),
            (Start::From(serial), Direction::NewestFirst) => high = kind.up_to(serial),
            (Start::After(serial), Direction::OldestFirst) => low = kind.after(serial),
            (Start::After(serial), Direction::NewestFirst) => {
                high = kind.from(serial); // the message's own latest row still lies within it
                skipped = Some(serial.clone());
            }
        }
        let page_size = request.limit.saturating_add(1).clamp(1, MAX_PAGE_SIZE);
        let items =
            self.items(&request.room, (low, high), request.direction, Some(page_size), false);
        Rows { store: self, items, head: None, skipped }
    }
}

/// Message versions in order, read ahead by one.
struct Rows<'a> {
    store: &'a Store,
    items: Items,
    head: Option<ChatMessage>,
    skipped: Option<Serial>,
}

impl Rows<'_> {
    /// The message the next row belongs to.
    async fn peek(&mut self) -> Result<Option<&Serial>, StoreError> {
        while self.head.is_none() {
            let Some(item) = self.items.next().await else { return Ok(None) };
            let item = item.map_err(|error| self.store.unread(&error))?;
            let message = read_item::to_message(&item)
                .map_err(|reason| self.store.unreadable(&item, reason))?;
            if self.skipped.as_ref() != Some(&message.serial) {
                self.head = Some(message);
            }
        }
        Ok(self.head.as_ref().map(|message| &message.serial))
    }

    /// The next row, if it belongs to this message.
    async fn next_of(&mut self, serial: &Serial) -> Result<Option<ChatMessage>, StoreError> {
        let is_next = self.peek().await? == Some(serial);
        Ok(if is_next { self.head.take() } else { None })
    }
}

/// Which of two messages comes first.
fn first(direction: Direction, heads: (Option<Serial>, Option<Serial>)) -> Option<Serial> {
    match heads {
        (Some(one), Some(other)) => Some(match direction {
            Direction::NewestFirst => one.max(other),
            Direction::OldestFirst => one.min(other),
        }),
        (one, other) => one.or(other),
    }
}

fn newer(stored: Option<ChatMessage>, found: ChatMessage) -> Option<ChatMessage> {
    match stored {
        Some(stored) if !found.version.serial.is_newer_than(&stored.version.serial) => Some(stored),
        _ => Some(found),
    }
}
