//! Reading back: a room's messages in order, one message, the versions of one. Rows of every
//! `VERSIONS` mode are read together and the newest version wins, so that the answer is the same
//! whatever the setting was when they were written.
//!
//! Reads are eventually consistent, DynamoDB's default.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chat::{Action, ChatMessage, JsonText, Reactions, RoomName, Serial, Summary};
use crate::logs::short;
use crate::store::error::StoreError;
use crate::store::messages::{Found, Messages, Start};
use crate::store::query::Direction;
use crate::store::table::Store;

/// What a page may hold at most, unless it is asked to hold less: about as many bytes of JSON.
const MOST_BYTES: usize = 4 << 20;
/// Messages that one page looks at; of those outside its window it shows none.
const MOST_SEEN: usize = 5_000;
/// And as many bytes, in pages of the greatest size.
const MOST_PAGES_SEEN: usize = 4;
/// Where a room's serials and the times of its messages may disagree, in ms: past the window by
/// more, no message of the window follows.
const MARGIN: i64 = 3_600_000;

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
    /// About how many bytes of JSON at most; a single message may have more.
    pub most_bytes: usize,
    /// Only messages that were created since then: ms since the epoch.
    pub since: Option<i64>,
    /// Only messages that were created before then: ms since the epoch.
    pub before: Option<i64>,
    /// The room as it was then: ms since the epoch. Reactions have no past: they are as of now.
    pub as_of: Option<i64>,
}

impl PageRequest {
    /// The first messages of a room, `limit` at most.
    #[must_use]
    pub fn new(room: RoomName, direction: Direction, limit: usize) -> Self {
        Self {
            room,
            direction,
            start: Start::Edge,
            limit,
            most_bytes: MOST_BYTES,
            since: None,
            before: None,
            as_of: None,
        }
    }

    /// Whether a message of that time is wanted; the time is 0 where it is unknown.
    fn wants(&self, created: i64) -> bool {
        self.since.is_none_or(|since| created >= since)
            && self.before.is_none_or(|before| created < before)
    }

    /// Whether no message that is wanted can follow one of that time.
    fn is_past(&self, created: i64) -> bool {
        let end = match self.direction {
            Direction::NewestFirst => self.since.map(|since| created < since - MARGIN),
            Direction::OldestFirst => {
                let end = [self.before, self.as_of].into_iter().flatten().min();
                end.map(|end| created > end.saturating_add(MARGIN))
            }
        };
        created > 0 && end.unwrap_or(false)
    }
}

/// Messages of a room, each in its latest version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// In the order asked for.
    pub messages: Vec<StoredMessage>,
    /// Where the next page starts; `None` at the end, which a short or empty page is not.
    pub next: Option<Start>,
    /// Rows that are none of this program's, or were changed since: which, and what is wrong.
    pub unreadable: Vec<String>,
    /// Messages of the time asked for of which the table holds later versions only.
    pub unknown: Vec<Serial>,
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
    pub(crate) fn new(message: ChatMessage, summary: Option<Summary>) -> Self {
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
    /// use ably_chat_exporter::store::{Direction, PageRequest, Settings, Store};
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
    /// # let (id, received_at, is_redelivery) = ("sample", 1_767_225_600_000, false);
    /// # let record = Record { id, body, received_at, is_redelivery };
    /// # let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    /// # sink.store_records(&[record], deadline).await;
    ///
    /// let store = Store::new(client, table, Settings::default());
    /// let room = RoomName("support:42".into());
    /// let mut request = PageRequest::new(room, Direction::NewestFirst, 20);
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
    /// When the table could not be read.
    pub async fn page(&self, request: &PageRequest) -> Result<Page, StoreError> {
        let start = (&request.start, request.direction);
        let messages = self.messages(&request.room, start, request.as_of, request.limit);
        let mut reading =
            Reading { request, page: Page::default(), bytes: 0, seen: 0, seen_bytes: 0 };
        reading.read(messages).await?;
        Ok(reading.page)
    }

    /// Reads one message in its latest version; `None` if the table does not know it, or nothing
    /// of it can be read.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn message(
        &self,
        room: &RoomName,
        serial: &Serial,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let start = Start::From(serial.clone());
        let mut messages = self.messages(room, (&start, Direction::NewestFirst), None, 1);
        let mut stored = None;
        // Those whose serial extends it come first.
        while let Some(found) = messages.next().await?
            && found.serial >= *serial
        {
            if let Found { message: Some(message), reactions, .. } = found
                && message.serial == *serial
            {
                stored = Some(StoredMessage::new(message, reactions));
                break;
            }
        }
        for reason in &messages.unreadable {
            tracing::error!(room = short(&room.0), reason, "row not shown: it cannot be read");
        }
        Ok(stored)
    }

    /// Reads the stored versions of one message, oldest first; deletes without content.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn versions(
        &self,
        room: &RoomName,
        serial: &Serial,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let (mut versions, mut after) = (Vec::new(), None);
        loop {
            let page = self.version_page(room, (serial, after.as_ref()), usize::MAX).await?;
            versions.extend(page.versions);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(versions),
            }
        }
    }

    /// Reads the stored versions of one message that are newer than `after`, `limit` at most.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn version_page(
        &self,
        room: &RoomName,
        of: (&Serial, Option<&Serial>),
        limit: usize,
    ) -> Result<VersionPage, StoreError> {
        let found = self.versions_after(room, of, (limit, MOST_BYTES)).await?;
        let last = found.versions.last_key_value().map(|(version, _)| version.clone());
        Ok(VersionPage {
            next: last.filter(|_| found.more),
            versions: found.versions.into_values().map(ChatMessage::redacted).collect(),
            unreadable: found.unreadable,
        })
    }
}

/// Versions of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionPage {
    /// Oldest first; deletes without content.
    pub versions: Vec<ChatMessage>,
    /// The version after which the next page starts; `None` at the end.
    pub next: Option<Serial>,
    /// As [`Page::unreadable`].
    pub unreadable: Vec<String>,
}

/// A page that is being read.
struct Reading<'a> {
    request: &'a PageRequest,
    page: Page,
    bytes: usize,
    seen: usize,
    seen_bytes: usize,
}

impl Reading<'_> {
    async fn read(&mut self, mut messages: Messages<'_>) -> Result<(), StoreError> {
        let mut last = self.request.start.clone();
        while let Some(found) = messages.next().await? {
            if self.request.is_past(found.created) {
                break;
            }
            if self.is_full() {
                self.page.next = Some(last);
                break;
            }
            self.seen += 1;
            last = Start::After(found.serial.clone());
            self.add(found);
        }
        self.page.unreadable = messages.unreadable;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.page.messages.len() >= self.request.limit
            || self.bytes >= self.request.most_bytes
            || self.seen >= MOST_SEEN
            || self.seen_bytes >= MOST_PAGES_SEEN * MOST_BYTES
    }

    fn add(&mut self, Found { serial, message, created, reactions }: Found) {
        self.seen_bytes += message.as_ref().map_or(0, ChatMessage::bytes);
        if !self.request.wants(created) {
            return;
        }
        match (message, self.request.as_of) {
            (Some(message), _) => {
                self.bytes += message.bytes() + reactions.as_ref().map_or(0, Summary::bytes);
                self.page.messages.push(StoredMessage::new(message, reactions));
            }
            (None, Some(then)) if created > 0 && created <= then => self.page.unknown.push(serial),
            (None, _) => {}
        }
    }
}
