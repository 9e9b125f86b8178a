//! Which puts a chat event asks for. Pure: the clock and the delivery's id are arguments.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::chat::{Annotation, ChatEvent, ChatMessage, Summary, SummaryOf};
use crate::store::condition::Condition;
use crate::store::error::Unstorable;
use crate::store::item::{self, Item};
use crate::store::key::Key;
use crate::store::put::Put;
use crate::store::settings::{KeepReactions, KeepVersions, ReactionClients, Settings};
use crate::store::table::Store;

/// Which rows of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Its own.
    pub version: bool,
    /// That of the latest version.
    pub latest: bool,
}

/// How an event came in.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// What the event source repeats when it redelivers the event; part of a snapshot's key. `None`
    /// if the summary did not arrive but was asked for: it is no snapshot.
    pub delivery: Option<&'a str>,
    /// When it arrived: ms since the epoch.
    pub received_at: i64,
    /// Whether it was handed over before, so that its rows may be there already.
    pub is_redelivery: bool,
}

impl Observation<'_> {
    /// It was asked for, and is as of `received_at` (ms since the epoch). Who asks has compared it
    /// with the table.
    #[must_use]
    pub fn of_read(received_at: i64) -> Self {
        Self { delivery: None, received_at, is_redelivery: false }
    }
}

impl Store {
    /// The puts for one event: all of them storable, or none.
    ///
    /// # Errors
    /// When DynamoDB cannot hold one of the rows.
    pub fn plan(
        &self,
        event: &ChatEvent,
        observation: Observation<'_>,
    ) -> Result<Vec<Put>, Unstorable> {
        match event {
            ChatEvent::Version(message, summary) => {
                let mut puts = versions(self.settings, message, observation)?;
                if let Some(summary) = summary {
                    puts.extend(self.riding(message, summary, observation)?);
                }
                Ok(puts)
            }
            // What cannot be read may fill an empty slot, and replaces nothing.
            ChatEvent::Reactions(summary) if summary.is_unreadable => {
                reactions(self.settings, summary, Condition::Absent, observation)
            }
            ChatEvent::Reactions(summary) => {
                let condition =
                    Condition::NotOlder(summary.version.clone(), observation.received_at);
                reactions(self.settings, summary, condition, observation)
            }
        }
    }

    /// The puts by which a version replaces other records of the same one, in these rows.
    ///
    /// # Errors
    /// When DynamoDB cannot hold one of the rows.
    pub fn plan_replacement(
        &self,
        message: &ChatMessage,
        rows: Rows,
        observation: Observation<'_>,
    ) -> Result<Vec<Put>, Unstorable> {
        let item = message_item(self.settings, message, observation);
        let mut puts = Vec::new();
        if rows.version {
            puts.push(version_row(message, item.clone())?);
        }
        if rows.latest {
            puts.push(latest_row(message, item, observation)?);
        }
        for put in &mut puts {
            put.condition = Condition::NotNewer(message.version.serial.clone());
        }
        Ok(puts)
    }

    /// The put for an annotation of a message that was created at `timestamp` (ms since the epoch).
    ///
    /// # Errors
    /// When DynamoDB cannot hold the row.
    pub fn plan_annotation(
        &self,
        annotation: &Annotation,
        timestamp: i64,
        observation: Observation<'_>,
    ) -> Result<Put, Unstorable> {
        let mut item = item::of_annotation(annotation);
        expire(&mut item, self.settings, timestamp, observation);
        let key = Key::reaction(&annotation.room, &annotation.message, &annotation.serial)?;
        Put::new(key, Condition::Absent, item)
    }

    /// DynamoDB's write units for a version's row.
    #[must_use]
    pub fn version_write_units(&self, message: &ChatMessage) -> u64 {
        let item = message_item(self.settings, message, Observation::of_read(0));
        let put = version_row(message, item);
        put.map_or(0, |put| put.write_units())
    }

    /// Whether reaction summaries are stored at all.
    #[must_use]
    pub fn keeps_reactions(&self) -> bool {
        self.settings.reactions != KeepReactions::None
    }

    /// A summary that rides on a version fills an empty slot, at the lowest version there is, so
    /// that any summary of its own right replaces it.
    fn riding(
        &self,
        message: &ChatMessage,
        summary: &Summary,
        observation: Observation<'_>,
    ) -> Result<Vec<Put>, Unstorable> {
        let summary = SummaryOf {
            room: message.room.clone(),
            serial: message.serial.clone(),
            version: message.serial.clone(),
            timestamp: message.timestamp,
            summary: summary.clone(),
            is_unreadable: false,
        };
        reactions(self.settings, &summary, Condition::Absent, observation)
    }
}

fn versions(
    settings: Settings,
    message: &ChatMessage,
    observation: Observation<'_>,
) -> Result<Vec<Put>, Unstorable> {
    let item = message_item(settings, message, observation);
    Ok(match settings.versions {
        KeepVersions::Both => {
            let version = version_row(message, item.clone())?;
            vec![version, latest_row(message, item, observation)?]
        }
        KeepVersions::Latest => vec![latest_row(message, item, observation)?],
        // A create has nothing older to replace.
        KeepVersions::All if message.version.serial == message.serial => {
            vec![version_row(message, item)?]
        }
        KeepVersions::All => {
            let condition = Condition::Older(message.version.serial.clone());
            let mut latest = latest_row(message, item.clone(), observation)?;
            latest.condition = condition;
            vec![version_row(message, item)?, latest]
        }
    })
}

fn message_item(settings: Settings, message: &ChatMessage, observation: Observation<'_>) -> Item {
    let with_clients = settings.reaction_clients == ReactionClients::Ids;
    let mut item = item::of_message(message, with_clients);
    expire(&mut item, settings, message.timestamp, observation);
    item
}

fn version_row(message: &ChatMessage, item: Item) -> Result<Put, Unstorable> {
    let key = Key::version(&message.room, &message.serial, &message.version.serial)?;
    Put::new(key, Condition::Absent, item)
}

/// The row of a message's latest version. A create is the first of them, unless it came before.
fn latest_row(
    message: &ChatMessage,
    item: Item,
    observation: Observation<'_>,
) -> Result<Put, Unstorable> {
    let condition = Condition::Newer(message.version.serial.clone());
    let is_first = message.version.serial == message.serial && !observation.is_redelivery;
    let put = Put::new(Key::message(&message.room, &message.serial)?, condition, item)?;
    Ok(put.expected_first(is_first))
}

fn reactions(
    settings: Settings,
    summary: &SummaryOf,
    condition: Condition,
    observation: Observation<'_>,
) -> Result<Vec<Put>, Unstorable> {
    if settings.reactions == KeepReactions::None {
        return Ok(Vec::new());
    }
    let with_clients = settings.reaction_clients == ReactionClients::Ids;
    let mut item = item::of_summary(summary, with_clients);
    expire(&mut item, settings, summary.timestamp, observation);
    let (room, serial) = (&summary.room, &summary.serial);
    let mut puts = Vec::new();
    if let (KeepReactions::Snapshots, Some(delivery)) = (settings.reactions, observation.delivery) {
        let mut item = item.clone();
        item::mark_received(&mut item, observation.received_at);
        let key = Key::snapshot(room, serial, delivery)?;
        puts.push(Put::new(key, Condition::Absent, item)?);
    }
    if matches!(condition, Condition::NotOlder(..)) {
        item::mark_received(&mut item, observation.received_at);
    }
    puts.push(Put::new(Key::reactions(room, serial)?, condition, item)?);
    Ok(puts)
}

/// Sets the TTL attribute: `RETENTION_DAYS` after the message was created, or arrived where
/// Ably does not say when it was created.
fn expire(item: &mut Item, settings: Settings, timestamp: i64, observation: Observation<'_>) {
    let Some(days) = settings.retention_days else { return };
    let created = if timestamp > 0 { timestamp } else { observation.received_at };
    let expires_at = created / 1_000 + i64::from(days) * 86_400;
    item.insert("expiresAt".into(), AttributeValue::N(expires_at.to_string()));
}
