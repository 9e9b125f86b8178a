//! What each path of the read API answers.

use axum::http::HeaderMap;
use serde::Serialize;

use crate::chat::{ChatMessage, Reactions, RoomName, Serial};
use crate::history::answer::{AnswerLimit, Form, Success};
use crate::history::api::{History, Source};
use crate::history::error::ApiError;
use crate::history::gaps::Gap;
use crate::history::params::{Cursor, PageParams, Query, links, versions_query};
use crate::history::publish::ARCHIVE;
use crate::history::reactions::of_client;
use crate::history::window::{self, Caller, Served};
use crate::logs::short;
use crate::store::{KeepVersions, StoredMessage};

/// A request of somebody who may read the room.
pub(super) struct Ask<'a> {
    pub(super) room: RoomName,
    pub(super) query: Query,
    pub(super) headers: &'a HeaderMap,
    pub(super) form: Form,
    pub(super) limit: AnswerLimit,
    /// Whom the credentials name.
    pub(super) client_id: Option<String>,
}

/// What reactions are of, where the time of the room is another.
pub(super) const REACTIONS_OF_NOW: axum::http::HeaderName =
    axum::http::HeaderName::from_static("x-archive-reactions");

impl History {
    /// `GET /chat/v4/rooms/{room}/messages`.
    pub(super) async fn messages(&self, ask: &Ask<'_>) -> Result<Success, ApiError> {
        let params = PageParams::read(&ask.query)?;
        self.check_as_of(&params)?;
        let AnswerLimit(most_bytes) = ask.limit;
        let page = match self.merging(ask).filter(|_| params.as_of.is_none()) {
            Some(caller) => {
                window::merged(&self.store, caller, &ask.room, &params, most_bytes).await?
            }
            None => window::of_table(&self.store, &ask.room, &params, most_bytes).await?,
        };
        self.note_gap(&ask.room, page.gap).await;
        log_unreadable(&ask.room, &page.page.unreadable);
        if let Some(serial) = page.page.unknown.first() {
            return Err(ApiError::new(
                400,
                40_000,
                format!(
                    "asOf: of message {} the table holds later versions only, so the room as it \
                     was then cannot be shown",
                    short(serial.as_str())
                ),
            ));
        }
        let (json, cut) = list(&page.page.messages, ask, |stored| &stored.message.serial);
        let is_past_ably = params.cursor.as_ref().is_some_and(|cursor| cursor.is_past_ably);
        let next = cut.map(|after| Cursor { after, is_past_ably }).or(page.next);
        let (first, current) = (params.query(None), params.query(params.cursor.as_ref()));
        let next = next.map(|next| params.query(Some(&next)));
        let links = links("messages", &first, &current, next.as_deref());
        let answer = Success::new(json).tagged().with(axum::http::header::LINK, &links);
        let answer = answer.with(ARCHIVE, page.served.word());
        Ok(match params.as_of {
            Some(_) => answer.with(REACTIONS_OF_NOW, "now"),
            None => answer,
        })
    }

    /// `GET …/messages/{serial}`.
    pub(super) async fn message(
        &self,
        ask: &Ask<'_>,
        serial: &Serial,
    ) -> Result<Success, ApiError> {
        let (found, served) = self.find(ask, serial).await?;
        let found = found.ok_or_else(|| ApiError::not_found("no such message is archived"))?;
        Ok(Success::of(&found).tagged().with(ARCHIVE, served.word()))
    }

    /// `GET …/messages/{serial}/versions`.
    pub(super) async fn versions(
        &self,
        ask: &Ask<'_>,
        serial: &Serial,
    ) -> Result<Success, ApiError> {
        let (limit, cursor) = (ask.query.limit()?, ask.query.cursor()?);
        let after = cursor.as_ref().map(|cursor| &cursor.after);
        let mut page = self.store.version_page(&ask.room, (serial, after), limit).await?;
        log_unreadable(&ask.room, &page.unreadable);
        let mut served = Served::Table;
        if let Some(caller) = self.merging(ask) {
            served =
                window::add_versions(&mut page, caller, &ask.room, (serial, after), limit).await?;
        }
        if page.versions.is_empty() && after.is_none() {
            return Err(ApiError::not_found("no such message is archived"));
        }
        let whole = |message| Version { message, reactions: Reactions::default() };
        let versions: Vec<_> = page.versions.into_iter().map(whole).collect();
        let (json, cut) = list(&versions, ask, |version| &version.message.version.serial);
        let next = cut.or(page.next).map(|after| Cursor { after, is_past_ably: false });
        let query = |cursor: Option<&Cursor>| versions_query(limit, cursor);
        let next = next.as_ref().map(|next| query(Some(next)));
        let links = links("versions", &query(None), &query(cursor.as_ref()), next.as_deref());
        let answer = Success::new(json).tagged().with(axum::http::header::LINK, &links);
        Ok(answer.with(ARCHIVE, served.word()))
    }

    /// `GET …/messages/{serial}/client-reactions`.
    pub(super) async fn client_reactions(
        &self,
        ask: &Ask<'_>,
        serial: &Serial,
    ) -> Result<Success, ApiError> {
        let client_id = ask.query.get("forClientId").or(ask.client_id.as_deref());
        let client_id = client_id.ok_or_else(|| {
            ApiError::bad_parameter("forClientId is missing, and the credentials name no client")
        })?;
        let mut served = Served::Table;
        if let Some(caller) = self.merging(ask) {
            match window::client_reactions(caller, &ask.room, serial, client_id).await? {
                Ok(Some(json)) => {
                    return Ok(Success::new(json).with(ARCHIVE, Served::Merged.word()));
                }
                Ok(None) => served = Served::Merged,
                Err(()) => served = Served::Stale,
            }
        }
        let found = self.store.message(&ask.room, serial).await?;
        let found = found.ok_or_else(|| ApiError::not_found("no such message is archived"))?;
        Ok(Success::of(&of_client(found.reactions, client_id)).with(ARCHIVE, served.word()))
    }

    /// One message in its latest version, wherever that is.
    async fn find(
        &self,
        ask: &Ask<'_>,
        serial: &Serial,
    ) -> Result<(Option<StoredMessage>, Served), ApiError> {
        let stored = self.store.message(&ask.room, serial);
        let Some(caller) = self.merging(ask) else {
            return Ok((stored.await?, Served::Table));
        };
        let (stored, fetched) = tokio::join!(stored, window::message(caller, &ask.room, serial));
        let (found, served, gap) = window::newest(stored?, fetched?);
        self.note_gap(&ask.room, gap).await;
        Ok((found, served))
    }

    /// Ably, if it is to be asked too.
    fn merging<'a>(&'a self, ask: &Ask<'a>) -> Option<Caller<'a>> {
        let caller = Caller { upstream: &self.upstream, headers: ask.headers };
        (self.source == Source::Merged).then_some(caller)
    }

    async fn note_gap(&self, room: &RoomName, gap: Option<Gap>) {
        if let (Some(gaps), Some(gap)) = (&self.gaps, gap) {
            gaps.found(room, gap).await;
        }
    }

    fn check_as_of(&self, params: &PageParams) -> Result<(), ApiError> {
        let is_known = self.store.settings().versions != KeepVersions::Latest;
        match params.as_of {
            Some(_) if !is_known => Err(ApiError::bad_parameter(
                "asOf: with VERSIONS=latest nobody knows what a message said before",
            )),
            _ => Ok(()),
        }
    }
}

/// A version of a message, as Ably serves it: whole, with no reactions of its own.
#[derive(Serialize)]
struct Version {
    #[serde(flatten)]
    message: ChatMessage,
    reactions: Reactions,
}

/// Items as JSON, as many as the answer may hold; if those are not all, the serial of the last.
fn list<T: Serialize>(
    items: &[T],
    ask: &Ask<'_>,
    serial: impl Fn(&T) -> &Serial,
) -> (String, Option<Serial>) {
    let AnswerLimit(most_bytes) = ask.limit;
    let (mut json, mut bytes, mut last) = (String::from("["), 0, None);
    for item in items {
        let text = serde_json::to_string(item).expect("maps with string keys are JSON");
        bytes += ask.form.weight(&text) + 1;
        if let Some(last) = last
            && bytes > most_bytes
        {
            json.push(']');
            return (json, Some(serial(last).clone()));
        }
        if last.is_some() {
            json.push(',');
        }
        json.push_str(&text);
        last = Some(item);
    }
    json.push(']');
    (json, None)
}

fn log_unreadable(room: &RoomName, unreadable: &[String]) {
    for reason in unreadable {
        tracing::error!(room = short(&room.0), reason, "row not shown: it cannot be read");
    }
}
