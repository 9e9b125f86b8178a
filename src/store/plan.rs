//! Which puts a chat event asks for. Pure: the clock and the delivery's id are arguments.

use std::sync::Arc;

use crate::chat::{ChatEvent, ChatMessage};
use crate::store::condition::Condition;
use crate::store::error::Unstorable;
use crate::store::item::{self, Item};
use crate::store::key::Key;
use crate::store::observation::{Observation, expire};
use crate::store::put::Put;
use crate::store::reactions;
use crate::store::settings::{KeepVersions, ReactionClients, Settings};
use crate::store::table::Store;

/// Which rows of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Its own.
    pub version: bool,
    /// That of the latest version.
    pub latest: bool,
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
                    puts.extend(reactions::riding(self.settings, message, summary, observation)?);
                }
                Ok(puts)
            }
            // What cannot be read may fill an empty slot, and replaces nothing.
            ChatEvent::Reactions(summary) if summary.is_unreadable => {
                reactions::puts(self.settings, summary, Condition::Absent, observation)
            }
            ChatEvent::Reactions(summary) => {
                let condition =
                    Condition::NotOlder(summary.version.clone(), observation.received_at);
                reactions::puts(self.settings, summary, condition, observation)
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
            puts.push(version_row(message, Arc::clone(&item))?);
        }
        if rows.latest {
            puts.push(latest_row(message, item, observation)?);
        }
        for put in &mut puts {
            put.condition = Condition::NotNewer(message.version.serial.clone());
        }
        Ok(puts)
    }

    /// DynamoDB's write units for a version's row.
    #[must_use]
    pub fn version_write_units(&self, message: &ChatMessage) -> u64 {
        let item = message_item(self.settings, message, Observation::of_read(0));
        let put = version_row(message, item);
        put.map_or(0, |put| put.write_units())
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
            let version = version_row(message, Arc::clone(&item))?;
            vec![version, latest_row(message, item, observation)?]
        }
        KeepVersions::Latest => vec![latest_row(message, item, observation)?],
        // A create has nothing older to replace.
        KeepVersions::All if message.version.serial == message.serial => {
            vec![version_row(message, item)?]
        }
        KeepVersions::All => {
            let condition = Condition::Older(message.version.serial.clone());
            let mut latest = latest_row(message, Arc::clone(&item), observation)?;
            latest.condition = condition;
            vec![version_row(message, item)?, latest]
        }
    })
}

fn message_item(
    settings: Settings,
    message: &ChatMessage,
    observation: Observation<'_>,
) -> Arc<Item> {
    let with_clients = settings.reaction_clients == ReactionClients::Ids;
    let mut item = item::of_message(message, with_clients);
    expire(&mut item, settings, message.timestamp, observation);
    item.into()
}

fn version_row(message: &ChatMessage, item: Arc<Item>) -> Result<Put, Unstorable> {
    let key = Key::version(&message.room, &message.serial, &message.version.serial)?;
    Put::new(key, Condition::Absent, item)
}

/// The row of a message's latest version. A create is the first of them, unless it came before.
fn latest_row(
    message: &ChatMessage,
    item: Arc<Item>,
    observation: Observation<'_>,
) -> Result<Put, Unstorable> {
    let condition = Condition::Newer(message.version.serial.clone());
    let is_first = message.version.serial == message.serial && !observation.is_redelivery;
    let put = Put::new(Key::message(&message.room, &message.serial)?, condition, item)?;
    Ok(put.expected_first(is_first))
}
