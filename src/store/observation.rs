//! How an event came in, and when its rows expire.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::store::item::Item;
use crate::store::settings::Settings;

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

/// Sets the TTL attribute: `RETENTION_DAYS` after the message was created, or arrived where
/// Ably does not say when it was created.
pub(super) fn expire(
    item: &mut Item,
    settings: Settings,
    timestamp: i64,
    observation: Observation<'_>,
) {
    let Some(days) = settings.retention_days else { return };
    let created = if timestamp > 0 { timestamp } else { observation.received_at };
    let expires_at = created / 1_000 + i64::from(days) * 86_400;
    item.insert("expiresAt".into(), AttributeValue::N(expires_at.to_string()));
}
