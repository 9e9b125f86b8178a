//! What publishes.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::history::publish::doubt::Reconcile;
use crate::history::publish::hook::Hook;
use crate::history::publish::rules::Rules;
use crate::history::upstream::Upstream;
use crate::ingest::Ingest;

/// Publishes for whoever may.
#[derive(Debug)]
pub struct Publish {
    /// Ably, for whoever asks.
    pub upstream: Arc<Upstream>,
    /// Stores what was published.
    pub ingest: Ingest,
    /// The Ably apps whose rooms are in the table. Ably takes credentials of any app, and publishes
    /// into that one.
    pub apps: BTreeSet<String>,
    /// `PUBLISH_RULES`.
    pub rules: Option<Rules>,
    /// `PUBLISH_HOOK`.
    pub hook: Option<Hook>,
    /// Has rooms looked at of which something may be missing.
    pub reconcile: Option<Reconcile>,
}
