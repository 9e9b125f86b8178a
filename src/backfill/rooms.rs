//! Where the rooms to walk come from. Ably has no list of all the rooms there ever were.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
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
    let last = (window.until - 1).div_euclid(MS_PER_DAY);
    let first = window.from.div_euclid(MS_PER_DAY).max(last - MOST_DAYS);
    // What arrives late is noted on the day of its arrival.
    let days = stream::iter(first..=last + 1)
        .map(|day| store.rooms_seen(day * MS_PER_DAY))
        .buffer_unordered(DAYS_AT_ONCE);
    days.try_fold(BTreeSet::new(), async |mut rooms, seen| {
        rooms.extend(seen);
        Ok(rooms)
    })
    .await
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
    let last = (window.until - 1).div_euclid(MS_PER_DAY);
    for day in window.from.div_euclid(MS_PER_DAY).max(last - MOST_DAYS)..=last {
        let at = day * MS_PER_DAY;
        for room in store.rooms_seen(at).await? {
            let seen = rooms.entry(room).or_insert(DaysSeen { count: 0, first: at, last: at });
            (seen.count, seen.last) = (seen.count + 1, at);
        }
    }
    Ok(rooms)
}
