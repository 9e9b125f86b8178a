//! What a request asks for: its query, and where a page begins (Ably docs, "Chat history" and
//! "REST API"). Parameters that nobody knows are ignored: browsers and SDKs add some.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::chat::{RoomName, Serial};
use crate::history::error::ApiError;
use crate::store::{Direction, PageRequest, Start};

/// Messages on a page, unless a request says otherwise, and at most.
const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
/// Longest serial that is worth looking for: a sort key has 1,024 bytes.
pub(super) const MAX_SERIAL: usize = 400;

/// A request's query. Of a name that occurs twice, the last counts, as in Ably's SDKs.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

/// Where a page begins that follows another: what the parameter `cursor` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    /// The message, or version, behind which it begins.
    #[serde(rename = "a")]
    pub(super) after: Serial,
    /// Whether Ably's history ends before it.
    #[serde(rename = "e", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_past_ably: bool,
}

/// A page of a room's messages.
#[derive(Clone, Debug)]
pub(super) struct PageParams {
    pub(super) direction: Direction,
    pub(super) limit: usize,
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) from_serial: Option<Serial>,
    pub(super) as_of: Option<i64>,
    pub(super) cursor: Option<Cursor>,
}

impl Query {
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The number of items wanted.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(USUAL_LIMIT) };
        match text.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
            _ => Err(ApiError::bad_parameter(format!(
                "invalid limit: expected a whole number from 1 to {MAX_LIMIT}"
            ))),
        }
    }

    pub(super) fn cursor(&self) -> Result<Option<Cursor>, ApiError> {
        self.get("cursor").map(Cursor::read).transpose()
    }

    fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(time @ 0..) => Ok(Some(time)),
            _ => Err(ApiError::bad_parameter(format!(
                "invalid {name}: expected a time in ms since the epoch"
            ))),
        }
    }

    /// `direction` is what Ably's service reads; `orderBy` is what its documents call it.
    fn direction(&self) -> Result<Direction, ApiError> {
        match (self.get("direction"), self.get("orderBy")) {
            (Some("backwards"), _) | (None, Some("newestFirst") | None) => {
                Ok(Direction::NewestFirst)
            }
            (Some("forwards"), _) | (None, Some("oldestFirst")) => Ok(Direction::OldestFirst),
            (Some(_), _) => {
                Err(ApiError::bad_parameter("invalid direction: expected backwards or forwards"))
            }
            (None, Some(_)) => {
                Err(ApiError::bad_parameter("invalid orderBy: expected newestFirst or oldestFirst"))
            }
        }
    }

    fn bound(&self) -> Result<Option<Serial>, ApiError> {
        match self.get("fromSerial") {
            Some(text) if text.is_empty() || text.len() > MAX_SERIAL => {
                Err(ApiError::bad_parameter("invalid fromSerial"))
            }
            text => Ok(text.map(|text| Serial(text.into()))),
        }
    }
}

impl Cursor {
    fn read(text: &str) -> Result<Self, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor = bytes.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let is_serial = |cursor: &Self| (1..=MAX_SERIAL).contains(&cursor.after.as_str().len());
        cursor
            .filter(is_serial)
            .ok_or_else(|| ApiError::bad_parameter("invalid cursor: it is none of this API's"))
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("a serial is JSON"))
    }
}

impl PageParams {
    pub(super) fn read(query: &Query) -> Result<Self, ApiError> {
        Ok(Self {
            direction: query.direction()?,
            limit: query.limit()?,
            start: query.time("start")?,
            end: query.time("end")?,
            from_serial: query.bound()?,
            as_of: query.time("asOf")?,
            cursor: query.cursor()?,
        })
    }

    /// Where the table is read from.
    pub(super) fn start_of(&self) -> Start {
        match (&self.cursor, &self.from_serial) {
            (Some(cursor), _) => Start::After(cursor.after.clone()),
            (None, Some(serial)) => Start::From(serial.clone()),
            (None, None) => Start::Edge,
        }
    }

    /// What the table is asked for.
    pub(super) fn request(&self, room: &RoomName, most_bytes: usize) -> PageRequest {
        PageRequest {
            start: self.start_of(),
            most_bytes,
            since: self.start,
            // Excluded, as Ably's page about Chat history says; its REST API's says otherwise.
            before: self.end,
            as_of: self.as_of,
            ..PageRequest::new(room.clone(), self.direction, self.limit)
        }
    }

    /// The word by which Ably's service knows the direction.
    pub(super) fn direction_word(&self) -> &'static str {
        match self.direction {
            Direction::NewestFirst => "backwards",
            Direction::OldestFirst => "forwards",
        }
    }

    /// The query of the page that begins at `cursor`, or of the first. It holds everything: the
    /// SDKs repeat nothing of a request but its path.
    pub(super) fn query(&self, cursor: Option<&Cursor>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        query.append_pair("direction", self.direction_word());
        for (name, time) in [("start", self.start), ("end", self.end), ("asOf", self.as_of)] {
            if let Some(time) = time {
                query.append_pair(name, &time.to_string());
            }
        }
        if let Some(serial) = &self.from_serial {
            query.append_pair("fromSerial", serial.as_str());
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", &cursor.text());
        }
        // A plus stays one in ably-js, which decodes percent signs alone.
        query.finish().replace('+', "%20")
    }
}

/// The query of a page of versions.
pub(super) fn versions_query(limit: usize, cursor: Option<&Cursor>) -> String {
    let cursor = cursor.map(|cursor| format!("&cursor={}", cursor.text())).unwrap_or_default();
    format!("limit={limit}{cursor}")
}

/// The header `Link`, in the one form that ably-js and ably-java both read: relative to the path's
/// last word, `next` last, all in one header (ably-js `paginatedresource.ts`; ably-java
/// `BasePaginatedQuery`).
pub(super) fn links(word: &str, first: &str, current: &str, next: Option<&str>) -> String {
    let link = |query: &str, rel: &str| format!("<./{word}?{query}>; rel=\"{rel}\"");
    let links = [Some(link(first, "first")), Some(link(current, "current"))];
    let next = next.map(|query| link(query, "next"));
    links.into_iter().chain([next]).flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(query: &str) -> Result<PageParams, ApiError> {
        PageParams::read(&Query::read(Some(query)))
    }

    #[test]
    fn parameters_are_those_of_ably() {
        let newest = page("").unwrap();
        assert_eq!((newest.limit, newest.direction), (100, Direction::NewestFirst));
        let oldest = page("orderBy=oldestFirst&rnd=1&envelope=json").unwrap();
        assert_eq!(oldest.direction, Direction::OldestFirst);
        let both = page("orderBy=oldestFirst&direction=backwards").unwrap();
        assert_eq!(both.direction, Direction::NewestFirst, "direction wins");
        assert_eq!(page("limit=5&limit=7").unwrap().limit, 7, "the last of a name counts");
        let serial = page("fromSerial=1-0%40a+b%3A0").unwrap().from_serial;
        assert_eq!(serial, Some(Serial("1-0@a b:0".into())));
    }

    #[test]
    fn wrong_parameters_have_a_code() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=x",
            "limit=",
            "direction=up",
            "orderBy=",
            "start=x",
            "end=1.5",
            "asOf=-1",
            "fromSerial=",
            "cursor=",
            "cursor=x",
            "cursor=e30",
        ] {
            let error = page(query).unwrap_err();
            assert_eq!((error.status, error.code), (400, 40_003), "{query}");
        }
    }

    proptest! {
        #[test]
        fn a_link_carries_everything(
            serial in "\\PC{1,40}",
            is_past_ably: bool,
            limit in 1..=MAX_LIMIT,
            start in proptest::option::of(0..i64::MAX),
        ) {
            let cursor = Cursor { after: Serial(serial.clone()), is_past_ably };
            let params = PageParams {
                direction: Direction::OldestFirst,
                limit,
                start,
                end: None,
                from_serial: Some(Serial(serial)),
                as_of: None,
                cursor: None,
            };
            let query = params.query(Some(&cursor));
            prop_assert!(!query.contains(['+', ',', '<', '>', '"', ' ']));
            let read = page(&query).unwrap();
            prop_assert_eq!(read.cursor, Some(cursor));
            prop_assert_eq!((read.limit, read.start), (limit, start));
            prop_assert_eq!(read.from_serial, params.from_serial);
            prop_assert_eq!(read.direction, params.direction);
        }

        #[test]
        fn no_cursor_is_beyond_reading(text in "\\PC{0,80}") {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("cursor", &text)
                .finish();
            if let Err(error) = page(&query) {
                prop_assert_eq!(error.code, 40_003);
            }
        }
    }
}
