//! A room's messages from two places: Ably's history, which forgets, and the table, which may lag.
//! They meet at a serial, never at a time: what both hold is the same message, and of its versions
//! the newest counts. A page ends where the first of the two does that has more.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::ably;
use crate::chat::{ChatMessage, RoomName, Serial, Summary};
use crate::history::error::ApiError;
use crate::history::gaps::Gap;
use crate::history::params::{Cursor, PageParams};
use crate::history::upstream::{Answer, Unreached, Upstream};
use crate::rest::{PAGE_LIMIT, next_query, room_path, segment};
use crate::store::{Direction, Page, Start, Store, StoredMessage, VersionPage};
use crate::time::now;

/// What Ably may take. The SDKs wait ten seconds for all of it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Messages that Ably is asked for at once, the next number where those were too large.
const AT_ONCE: [usize; 3] = [200, 20, 2];
/// Empty pages of Ably's that are followed; they may occur, one after the other.
const EMPTY_PAGES: usize = 5;
/// What came in the last minute may still be on its way to the table.
const ON_ITS_WAY: i64 = 60_000;

/// Where messages are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// The table alone.
    Table,
    /// Ably and the table.
    Merged,
    /// The table alone, though Ably was to be asked: it did not answer.
    Stale,
}

impl Served {
    /// The word of the header `X-Archive`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Merged => "merged",
            Self::Stale => "stale",
        }
    }
}

/// A page of a room.
#[derive(Debug)]
pub(super) struct Window {
    /// Of `page.next`, only whether there is one counts; `next` says where.
    pub(super) page: Page,
    pub(super) next: Option<Cursor>,
    pub(super) served: Served,
    /// What Ably has, and the table should have by now.
    pub(super) gap: Option<Gap>,
}

/// What Ably has from a place on.
#[derive(Debug, Default)]
struct FromAbly {
    messages: BTreeMap<Serial, (StoredMessage, bool)>,
    /// The last of them, if Ably has more: beyond it, nothing is known of Ably's history.
    end: Option<Serial>,
}

/// Ably, asked as the caller.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) headers: &'a HeaderMap,
}

/// Why Ably's side of a page is missing.
pub(super) enum Missing {
    /// It refused the caller.
    Refused(ApiError),
    /// It has more than is read here.
    TooLarge,
    /// It could not be asked, or said nothing that can be used.
    Down(String),
}

impl Missing {
    /// Why Ably could not be asked; a refusal is the caller's to know.
    fn or_reason(self) -> Result<String, ApiError> {
        match self {
            Self::Refused(error) => Err(error),
            Self::TooLarge => Ok("its answer is too large".into()),
            Self::Down(reason) => Ok(reason),
        }
    }
}

/// Reads a page of the table alone.
pub(super) async fn of_table(
    store: &Store,
    room: &RoomName,
    params: &PageParams,
    most_bytes: usize,
) -> Result<Window, ApiError> {
    let page = store.page(&params.request(room, most_bytes)).await?;
    let is_past_ably = params.cursor.as_ref().is_some_and(|cursor| cursor.is_past_ably);
    let next = page.next.clone().and_then(serial_of);
    let next = next.map(|after| Cursor { after, is_past_ably });
    Ok(Window { page, next, served: Served::Table, gap: None })
}

/// Reads a page of both.
pub(super) async fn merged(
    store: &Store,
    caller: Caller<'_>,
    room: &RoomName,
    params: &PageParams,
    most_bytes: usize,
) -> Result<Window, ApiError> {
    let asked = timeout(PATIENCE, ask(caller, room, params));
    let (table, from_ably) = tokio::join!(of_table(store, room, params, most_bytes), asked);
    let from_ably =
        from_ably.unwrap_or_else(|_| Err(Missing::Down(format!("no answer within {PATIENCE:?}"))));
    let table = table?;
    match from_ably {
        Ok(from_ably) => Ok(merge(table, from_ably, params)),
        Err(missing) => {
            let reason = missing.or_reason()?;
            tracing::warn!(reason, "Ably not asked for history; the table answers alone");
            table.alone(params)
        }
    }
}

impl Window {
    /// The table's side, where Ably's is missing. At its end there may be more at Ably: that is no
    /// end.
    fn alone(mut self, params: &PageParams) -> Result<Self, ApiError> {
        self.served = Served::Stale;
        if self.next.is_none() {
            let last = self.page.messages.last().ok_or_else(|| {
                ApiError::unavailable("the archive has no more, and Ably cannot be asked now")
            })?;
            let after = last.message.serial.clone();
            let is_past_ably = params.cursor.as_ref().is_some_and(|cursor| cursor.is_past_ably);
            self.next = Some(Cursor { after, is_past_ably });
        }
        Ok(self)
    }
}

/// Both sides of a page, as far as both are known.
fn merge(table: Window, from_ably: FromAbly, params: &PageParams) -> Window {
    let Window { page: Page { messages, next, unreadable, unknown }, .. } = table;
    let FromAbly { messages: mut at_ably, end } = from_ably;
    let is_within = |serial: &Serial, end: Option<&Serial>| match (end, params.direction) {
        (None, _) => true,
        (Some(end), Direction::NewestFirst) => serial >= end,
        (Some(end), Direction::OldestFirst) => serial <= end,
    };
    let end_of_table = next.and_then(serial_of);
    let ends = (end.as_ref(), end_of_table.as_ref());
    let nearest = match (ends, params.direction) {
        ((Some(one), Some(other)), Direction::NewestFirst) => Some(one.max(other)),
        ((Some(one), Some(other)), Direction::OldestFirst) => Some(one.min(other)),
        ((one, other), _) => one.or(other),
    };
    let oldest_at_ably = at_ably.keys().next().cloned();
    let mut gap = None;
    let mut union: BTreeMap<Serial, StoredMessage> = BTreeMap::new();
    for stored in messages {
        let serial = stored.message.serial.clone();
        let newest = match at_ably.remove(&serial) {
            Some(fetched) => {
                gap = widest(gap, lacks(Some(&stored), &fetched.0));
                newer(stored, fetched)
            }
            None => stored,
        };
        union.insert(serial, newest);
    }
    for (serial, (fetched, _)) in at_ably {
        if is_within(&serial, end_of_table.as_ref()) {
            gap = widest(gap, lacks(None, &fetched));
        }
        union.insert(serial, fetched);
    }
    union.retain(|serial, _| is_within(serial, nearest));
    let mut messages: Vec<_> = union.into_values().collect();
    if params.direction == Direction::NewestFirst {
        messages.reverse();
    }
    let is_cut = messages.len() > params.limit;
    messages.truncate(params.limit);
    let last = messages.last().map(|last| last.message.serial.clone());
    let after = if is_cut { last } else { nearest.cloned() };
    // Going back in time, nothing of Ably's follows once there is no more.
    let is_done = end.is_none() && params.direction == Direction::NewestFirst;
    let next = after.map(|after| {
        let is_past_ably = is_done && oldest_at_ably.is_none_or(|oldest| oldest >= after);
        Cursor { after, is_past_ably }
    });
    let page = Page { messages, next: None, unreadable, unknown };
    Window { page, next, served: Served::Merged, gap }
}

/// Whether the table should have Ably's version by now.
fn lacks(stored: Option<&StoredMessage>, fetched: &StoredMessage) -> Option<Gap> {
    let version = &fetched.message.version;
    let is_newer =
        stored.is_none_or(|stored| version.serial.is_newer_than(&stored.message.version.serial));
    let created = fetched.message.timestamp;
    (is_newer && version.timestamp < now() - ON_ITS_WAY).then_some((created, created))
}

fn widest(one: Option<Gap>, other: Option<Gap>) -> Option<Gap> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

/// The newer of two versions, with the reactions that Ably knows now, if it says.
fn newer(stored: StoredMessage, (fetched, has_reactions): (StoredMessage, bool)) -> StoredMessage {
    let is_newer = fetched.message.version.serial.is_newer_than(&stored.message.version.serial);
    let message = if is_newer { fetched.message } else { stored.message };
    let annotations = stored.annotations;
    let reactions = if has_reactions { fetched.reactions } else { stored.reactions };
    StoredMessage { message, reactions, annotations }
}

/// What Ably has of one message: `Ok(None)` if it knows none; `Err` if it could not be asked.
type FromAblyOne = Result<Option<(StoredMessage, bool)>, String>;

/// Asks Ably for one message.
pub(super) async fn message(
    caller: Caller<'_>,
    room: &RoomName,
    serial: &Serial,
) -> Result<FromAblyOne, ApiError> {
    let Some(path) = message_path(room, serial) else { return Ok(Ok(None)) };
    let answer = match caller.get(&path).await {
        Ok(answer) => answer,
        Err(missing) => return missing.or_reason().map(Err),
    };
    Ok(match (answer.status.as_u16(), of_ably(&answer.body, room)) {
        (200..=299, Some(found)) => Ok(Some(found)),
        (404, _) => Ok(None),
        (status, _) => Err(format!("status {status}")),
    })
}

/// The newest of what is stored and what Ably has.
pub(super) fn newest(
    stored: Option<StoredMessage>,
    fetched: FromAblyOne,
) -> (Option<StoredMessage>, Served, Option<Gap>) {
    match (stored, fetched) {
        (stored, Err(reason)) => {
            tracing::warn!(reason, "Ably not asked for history; the table answers alone");
            (stored, Served::Stale, None)
        }
        (stored, Ok(None)) => (stored, Served::Merged, None),
        (None, Ok(Some(fetched))) => {
            let gap = lacks(None, &fetched.0);
            (Some(fetched.0), Served::Merged, gap)
        }
        (Some(stored), Ok(Some(fetched))) => {
            let gap = lacks(Some(&stored), &fetched.0);
            (Some(newer(stored, fetched)), Served::Merged, gap)
        }
    }
}

/// Adds the versions that Ably has, if all of them are on its first page.
pub(super) async fn add_versions(
    page: &mut VersionPage,
    caller: Caller<'_>,
    room: &RoomName,
    (serial, after): (&Serial, Option<&Serial>),
    limit: usize,
) -> Result<Served, ApiError> {
    let Some(path) = message_path(room, serial) else { return Ok(Served::Table) };
    let listed = caller.list(&format!("{path}/versions"), &format!("limit={PAGE_LIMIT}")).await;
    let items = match listed {
        Ok((items, None)) => items,
        Ok((_, Some(_))) => return Ok(Served::Table),
        Err(missing) => {
            let reason = missing.or_reason()?;
            tracing::warn!(reason, "Ably not asked for history; the table answers alone");
            return Ok(Served::Stale);
        }
    };
    let fetched =
        items.iter().filter_map(|item| Some(ably::chat_message(item, room).ok()?.message));
    let is_wanted = |version: &Serial| {
        after.is_none_or(|after| version.is_newer_than(after))
            && page.next.as_ref().is_none_or(|next| !version.is_newer_than(next))
    };
    let fetched: Vec<_> = fetched.filter(|message| is_wanted(&message.version.serial)).collect();
    let stored = std::mem::take(&mut page.versions);
    let mut union: BTreeMap<Serial, ChatMessage> = BTreeMap::new();
    for message in fetched.into_iter().map(ChatMessage::redacted).chain(stored) {
        union.insert(message.version.serial.clone(), message);
    }
    while union.len() > limit {
        union.pop_last();
        page.next = union.last_key_value().map(|(version, _)| version.clone());
    }
    page.versions = union.into_values().collect();
    Ok(Served::Merged)
}

/// What Ably answers of one client's reactions: `None` if it knows no such message; an error if it
/// cannot be asked.
pub(super) async fn client_reactions(
    caller: Caller<'_>,
    room: &RoomName,
    serial: &Serial,
    client_id: &str,
) -> Result<Result<Option<String>, ()>, ApiError> {
    let Some(path) = message_path(room, serial) else { return Ok(Ok(None)) };
    let client_id = segment(client_id);
    match caller.get(&format!("{path}/client-reactions?forClientId={client_id}")).await {
        Ok(answer) if answer.status.is_success() => {
            let json = serde_json::from_slice::<&RawValue>(&answer.body);
            Ok(json.map(|json| Some(json.get().into())).map_err(|_| ()))
        }
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => Ok(Ok(None)),
        Ok(_) => Ok(Err(())),
        Err(missing) => missing.or_reason().map(|_| Err(())),
    }
}

/// One message's path.
fn message_path(room: &RoomName, serial: &Serial) -> Option<String> {
    // Such a segment is taken for a step in the path.
    let is_segment = !matches!(serial.as_str(), "." | "..");
    let path = format!("{}/messages/{}", room_path(room)?, segment(serial.as_str()));
    is_segment.then_some(path)
}

fn serial_of(start: Start) -> Option<Serial> {
    match start {
        Start::After(serial) => Some(serial),
        Start::Edge | Start::From(_) => None,
    }
}

/// Asks Ably for what follows.
async fn ask(
    caller: Caller<'_>,
    room: &RoomName,
    params: &PageParams,
) -> Result<FromAbly, Missing> {
    if params.cursor.as_ref().is_some_and(|cursor| cursor.is_past_ably) {
        return Ok(FromAbly::default());
    }
    let Some(path) = room_path(room) else {
        return Err(Missing::Down("no path of Ably's names the room".into()));
    };
    let path = format!("{path}/messages");
    for at_once in AT_ONCE {
        let limit = params.limit.min(at_once);
        match ask_for(caller, room, &path, &PageParams { limit, ..params.clone() }).await {
            Err(Missing::TooLarge) => {}
            asked => return asked,
        }
    }
    Err(Missing::Down("two messages are too large".into()))
}

async fn ask_for(
    caller: Caller<'_>,
    room: &RoomName,
    path: &str,
    params: &PageParams,
) -> Result<FromAbly, Missing> {
    let from = params.cursor.as_ref().map(|cursor| &cursor.after).or(params.from_serial.as_ref());
    let ably =
        PageParams { cursor: None, from_serial: from.cloned(), as_of: None, ..params.clone() };
    let mut query = ably.query(None);
    for _ in 0..EMPTY_PAGES {
        let (items, next) = caller.list(path, &query).await?;
        let mut found = read(room, &items);
        // Whether `fromSerial` is included is in no document of Ably's; the cursor's own is shown.
        let behind = params.cursor.as_ref().map(|cursor| &cursor.after);
        let is_ahead = |serial: &Serial| match (behind, params.direction) {
            (None, _) => true,
            (Some(after), Direction::NewestFirst) => serial < after,
            (Some(after), Direction::OldestFirst) => serial > after,
        };
        let end = match params.direction {
            Direction::NewestFirst => found.keys().next().cloned(),
            Direction::OldestFirst => found.keys().next_back().cloned(),
        };
        found.retain(|serial, (stored, _)| is_ahead(serial) && params.wants(stored));
        match (next, end) {
            (None, _) => return Ok(FromAbly { messages: found, end: None }),
            (Some(_), Some(end)) if is_ahead(&end) => {
                return Ok(FromAbly { messages: found, end: Some(end) });
            }
            (Some(next), _) => query = next,
        }
    }
    Err(Missing::Down("one page after the other is empty".into()))
}

/// One of Ably's messages, with whether it says what the reactions are.
fn of_ably(json: &[u8], room: &RoomName) -> Option<(StoredMessage, bool)> {
    let raw = serde_json::from_slice(json).ok()?;
    let fetched = ably::chat_message(raw, room).ok()?;
    let has_reactions = fetched.reactions.is_some();
    let reactions = fetched.reactions.unwrap_or_default();
    let summary = Summary { reactions, ..Summary::default() };
    Some((StoredMessage::new(fetched.message, Some(summary)), has_reactions))
}

/// Ably's messages, by serial, each with whether it says what the reactions are.
fn read(room: &RoomName, items: &[Box<RawValue>]) -> BTreeMap<Serial, (StoredMessage, bool)> {
    let messages = items.iter().filter_map(|item| {
        let found = of_ably(item.get().as_bytes(), room)?;
        Some((found.0.message.serial.clone(), found))
    });
    messages.collect()
}

impl PageParams {
    fn wants(&self, stored: &StoredMessage) -> bool {
        let created = stored.message.timestamp;
        self.start.is_none_or(|start| created >= start) && self.end.is_none_or(|end| created < end)
    }
}

impl Caller<'_> {
    /// A list, and the query of its next page.
    async fn list(
        self,
        path: &str,
        query: &str,
    ) -> Result<(Vec<Box<RawValue>>, Option<String>), Missing> {
        let answer = self.get(&format!("{path}?{query}")).await?;
        let links = answer.headers.get_all("link").iter();
        let next = next_query(links.filter_map(|value| value.to_str().ok()));
        match (answer.status.as_u16(), serde_json::from_slice(&answer.body)) {
            (404, _) => Ok((Vec::new(), None)),
            (200..=299, Ok(items)) => Ok((items, next)),
            (200..=299, Err(_)) => Err(Missing::Down("its answer is no JSON array".into())),
            (status, _) => Err(Missing::Down(format!("status {status}"))),
        }
    }

    pub(super) async fn get(self, path_and_query: &str) -> Result<Answer, Missing> {
        let Self { upstream, headers } = self;
        let sent = upstream.send(&Method::GET, path_and_query, headers, Bytes::new(), PATIENCE);
        let answer = sent.await.map_err(|error| match error {
            Unreached::TooLarge => Missing::TooLarge,
            error => Missing::Down(error.to_string()),
        })?;
        match answer.status.as_u16() {
            401 | 403 => Err(Missing::Refused(ApiError::of_ably(&answer))),
            _ => Ok(answer),
        }
    }
}
