//! Where the rooms to walk come from. Ably has no list of all the rooms there ever were.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::pin::pin;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ably;
use crate::backfill::receipt::Window;
use crate::chat::RoomName;
use crate::rest::{AblyRest, RestError};
use crate::store::{Store, StoreError};
use crate::time::MS_PER_DAY;

/// A year: what Ably keeps at most, on request.
const MOST_DAYS: i64 = 366;
/// Days of the index that are read at once.
const DAYS_AT_ONCE: usize = 8;

/// The rooms whose channels are active at Ably now. Rooms nobody is in are not among them. It may
/// take minutes where Ably is busy; its future may be dropped.
///
/// # Errors
/// When Ably does not list them.
pub async fn active_rooms(rest: &AblyRest) -> Result<BTreeSet<RoomName>, RestError> {
    Ok(rest.channels().await?.iter().filter_map(|item| room_of(item)).collect())
}

/// A channel is listed by its id, or as an object that holds it.
fn room_of(item: &RawValue) -> Option<RoomName> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Channel {
        Id(String),
        Details {
            #[serde(alias = "channelId", alias = "id")]
            name: String,
        },
    }
    let channel: Channel = serde_json::from_str(item.get()).ok()?;
    let (Channel::Id(name) | Channel::Details { name }) = channel;
    ably::of_channel(&name).ok()
}

/// The rooms that the exporter stored something of in the days of a window: those of the table's
/// index.
///
/// # Errors
/// When the table could not be read.
pub async fn stored_rooms(store: &Store, window: Window) -> Result<BTreeSet<RoomName>, StoreError> {
    let days = days_of(window);
    // What arrives late is noted on the day of its arrival.
    let days = *days.start()..=days.end() + 1;
    let seen = seen_on(store, days).map_ok(|(_, rooms)| rooms);
    seen.try_fold(BTreeSet::new(), async |mut rooms, seen| {
        rooms.extend(seen);
        Ok(rooms)
    })
    .await
}

/// The days of a window, as days since the epoch: a year of them at most, the last.
fn days_of(window: Window) -> RangeInclusive<i64> {
    let last = (window.until - 1).div_euclid(MS_PER_DAY);
    window.from.div_euclid(MS_PER_DAY).max(last - MOST_DAYS)..=last
}

/// The beginning of each day, in order, and the rooms that the table's index notes on it.
fn seen_on(
    store: &Store,
    days: RangeInclusive<i64>,
) -> impl Stream<Item = Result<(i64, Vec<RoomName>), StoreError>> {
    stream::iter(days.map(|day| day * MS_PER_DAY))
        .map(async |day| Ok((day, store.rooms_seen(day).await?)))
        .buffered(DAYS_AT_ONCE)
}

/// When a room was seen in the table's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaysSeen {
    /// The number of days.
    pub count: u32,
    /// The first of them: ms since the epoch.
    pub first: i64,
    /// The last.
    pub last: i64,
}

/// The rooms that the exporter stored something of in the days of a window, and when.
///
/// # Errors
/// When the table could not be read.
pub async fn days_seen(
    store: &Store,
    window: Window,
) -> Result<BTreeMap<RoomName, DaysSeen>, StoreError> {
    let mut rooms: BTreeMap<RoomName, DaysSeen> = BTreeMap::new();
    let mut days = pin!(seen_on(store, days_of(window)));
    while let Some((at, seen)) = days.try_next().await? {
        for room in seen {
            let seen = rooms.entry(room).or_insert(DaysSeen { count: 0, first: at, last: at });
            (seen.count, seen.last) = (seen.count + 1, at);
        }
    }
    Ok(rooms)
}
