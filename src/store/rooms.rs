//! The index of rooms by day: nobody else says which rooms there are. `pk` is
//! `rooms#<day>#<shard>`, `sk` is `room#<room name>`.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::chat::RoomName;
use crate::store::error::{StoreError, lost_the_race};
use crate::store::key::{Key, Kind};
use crate::store::query::Asked;
use crate::store::table::Store;
use crate::time;

/// A year is the longest that Ably keeps messages, on request: older entries find nothing.
const KEPT_DAYS: i64 = 400;
/// Partitions of a day that are read at once.
const CONCURRENCY: usize = 8;

impl Store {
    /// Notes that a room was seen, at `at` ms since the epoch.
    ///
    /// # Errors
    /// When the table could not be asked by `deadline`.
    pub async fn note_room(
        &self,
        room: &RoomName,
        at: i64,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let days =
            self.settings.retention_days.map_or(KEPT_DAYS, |days| KEPT_DAYS.min(days.into()));
        let number = |number: i64| AttributeValue::N(number.to_string());
        let request = self
            .notes()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::seen_room(room, &time::day(at)).attributes().into()))
            .update_expression(
                "SET room = :room, firstSeen = if_not_exists(firstSeen, :at), lastSeen = :at, \
                 expiresAt = :expires",
            )
            .condition_expression("attribute_not_exists(lastSeen) OR lastSeen < :at")
            .expression_attribute_values(":room", AttributeValue::S(room.0.clone()))
            .expression_attribute_values(":at", number(at))
            .expression_attribute_values(":expires", number(at / 1_000 + days * 86_400));
        match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if lost_the_race(&error) => Ok(()),
            Ok(Err(error)) => Err(StoreError::from_sdk("dynamodb:UpdateItem", &self.table, &error)),
            Err(_) => Err(StoreError::deadline("dynamodb:UpdateItem", &self.table)),
        }
    }

    /// The rooms seen on the day of a time, in ms since the epoch; in the order of their names.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn rooms_seen(&self, at: i64) -> Result<Vec<RoomName>, StoreError> {
        let rooms = stream::iter(Key::seen_rooms(&time::day(at)))
            .map(|partition| self.rooms_in(RoomName(partition)))
            .buffer_unordered(CONCURRENCY)
            .try_fold(BTreeSet::new(), async |mut all, rooms| {
                all.extend(rooms);
                Ok(all)
            });
        Ok(rooms.await?.into_iter().collect())
    }

    async fn rooms_in(&self, partition: RoomName) -> Result<Vec<RoomName>, StoreError> {
        let bounds = Kind::Room.all();
        let mut items = self.items(&partition, bounds, Asked::OLDEST_FIRST, false);
        let mut rooms = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| self.unread(&error))?;
            match item.get("room").and_then(|name| name.as_s().ok()) {
                Some(name) => rooms.push(RoomName(name.clone())),
                None => return Err(self.unreadable(&item, "it names no room")),
            }
        }
        Ok(rooms)
    }

    /// A client for notes, with a quota of retries of its own: throttled notes must not use up
    /// that of messages.
    fn notes(&self) -> &Client {
        self.notes.get_or_init(|| {
            let partition = RetryPartition::new("room-notes");
            let config = self.client.config().to_builder().retry_partition(partition);
            Client::from_conf(config.build())
        })
    }
}
