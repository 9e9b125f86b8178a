//! Where reactions are stored: the current state of a message's, snapshots of it, and each reaction
//! by itself.

use crate::chat::{Annotation, ChatMessage, Summary, SummaryOf};
use crate::store::condition::Condition;
use crate::store::error::Unstorable;
use crate::store::item;
use crate::store::key::Key;
use crate::store::observation::{Observation, expire};
use crate::store::put::Put;
use crate::store::settings::{KeepReactions, ReactionClients, Settings};
use crate::store::table::Store;

impl Store {
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

    /// Whether reaction summaries are stored at all.
    #[must_use]
    pub fn keeps_reactions(&self) -> bool {
        self.settings.reactions != KeepReactions::None
    }
}

/// A summary that rides on a version fills an empty slot, at the lowest version there is, so
/// that any summary of its own right replaces it.
pub(super) fn riding(
    settings: Settings,
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
    puts(settings, &summary, Condition::Absent, observation)
}

/// The puts for a summary: its row, and a snapshot where those are kept.
pub(super) fn puts(
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
