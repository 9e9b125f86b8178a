//! Signs of trouble: `[meta]log` and `[meta]stats:minute` say that Ably did not deliver something about
//! some time, though not what. All rooms seen then are walked for that time.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{Answer, Function, LAST_MINUTE};
use crate::ably::{Trouble, trouble};
use crate::backfill::Window;
use crate::chat::RoomName;
use crate::rest::{AblyRest, RestError};
use crate::store::{Document, hex};
use crate::time::{MS_PER_DAY, now};

/// Metachannels that tell of failed deliveries.
const CHANNELS: [&str; 2] = ["[meta]log", "[meta]stats:minute"];
/// Messages may come into the history late, and Ably keeps that of metachannels for two minutes, as far
/// as is known: each look overlaps the one before by so much, in ms.
const OVERLAP: i64 = 120_000;
/// Around what Ably says, in ms: its statistics are of the minute before.
const MARGIN: i64 = 120_000;
/// A trouble that does not end is seen to in pieces of so much, in ms.
const LONGEST: i64 = 600_000;
/// Messages remembered, which a row has room for; one that is forgotten is one sign more.
const MAX_KNOWN: usize = 4_000;
/// Where the state is kept: a channel that is no room.
const STATE: &str = "[meta]log";

/// How far the metachannels have been read, and what trouble is not seen to yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    /// When they were last read: ms since the epoch.
    read_at: i64,
    /// Messages that were read in the last minutes, by id.
    known: BTreeSet<String>,
    /// The first and last sign, ms since the epoch.
    trouble: Option<(i64, i64)>,
}

impl Function {
    /// Reads the metachannels; once trouble has ended, or lasts, queues rooms for its time.
    pub(super) async fn signs(&self, deadline: Instant) -> Result<Answer, String> {
        let (store, name) = (&self.ingest.store, RoomName(STATE.into()));
        let state = store.document::<State>(&name, Document::State, "signs").await;
        let mut state = state.map_err(|error| error.to_string())?.unwrap_or_default();
        let rest = self.client().await?;
        let asked_at = now();
        let start = (state.read_at - OVERLAP).max(asked_at - MS_PER_DAY);
        let (mut known, mut signs) = (BTreeSet::new(), Vec::new());
        for channel in CHANNELS {
            match read(&rest, channel, start).await {
                Ok(items) => signs.extend(items.iter().filter_map(|item| {
                    let id = id(item);
                    known.insert(id.clone());
                    if state.known.contains(&id) { None } else { trouble(item) }
                })),
                Err(error) if error.is_of_key() => return Err(error.to_string()),
                // The other channel may be readable.
                Err(error) => tracing::warn!(channel, reason = %error, "metachannel not read"),
            }
        }
        (state.known, state.read_at) = (known.into_iter().take(MAX_KNOWN).collect(), asked_at);
        for Trouble { timestamp, reason } in &signs {
            tracing::warn!(at = timestamp, reason, "Ably tells of deliveries that failed");
            let at = timestamp.unwrap_or(asked_at);
            let (first, last) = state.trouble.unwrap_or((at, at));
            state.trouble = Some((first.min(at), last.max(at)));
        }
        let mut rooms = 0;
        if let Some((first, last)) = state.trouble
            && (signs.is_empty() || last - first >= LONGEST)
        {
            let window = Window { from: first - MARGIN, until: last + MARGIN };
            // Not before its last minute is in the history.
            let wait = u64::try_from(window.until + LAST_MINUTE - asked_at).unwrap_or(0);
            let delay = Duration::from_millis(wait);
            let span = (Some(window.from), Some(window.until));
            rooms = self.send(window, span, delay, deadline).await?;
            tracing::info!(rooms, from = window.from, until = window.until, "rooms queued");
            state.trouble = None;
        }
        let kept = store.put_document((&name, Document::State, "signs"), &state, None).await;
        kept.map_err(|error| error.to_string())?;
        Ok(Answer::Done(json!({"signs": signs.len(), "rooms": rooms})))
    }
}

async fn read(rest: &AblyRest, channel: &str, start: i64) -> Result<Vec<Box<RawValue>>, RestError> {
    rest.meta(channel, (start, now() + LAST_MINUTE)).await
}

/// What a message is told by if it comes again.
fn id(item: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let named = serde_json::from_str::<Named>(item.get());
    named.map_or_else(|_| hex(&Sha256::digest(item.get())), |named| named.id)
}
