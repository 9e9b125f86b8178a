//! Signs of trouble: `[meta]log` and `[meta]stats:minute` say that Ably did not deliver something
//! about some time, though not what. All rooms that may be concerned are walked for that time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::{Answer, Call, Failed, Function, LAST_MINUTE, Work};
use crate::ably::{Trouble, trouble};
use crate::backfill::Window;
use crate::chat::RoomName;
use crate::rest::{AblyRest, RestError};
use crate::store::{Document, hex};
use crate::time::{MS_PER_DAY, now};

/// Metachannels that tell of failed deliveries.
const CHANNELS: [&str; 2] = ["[meta]log", "[meta]stats:minute"];
/// Messages may come into the history late, and Ably keeps that of metachannels for two minutes, as
/// far as is known: each look overlaps the one before by so much, in ms.
const OVERLAP: i64 = 120_000;
/// Around what Ably says, in ms: its statistics are of the minute before.
const MARGIN: i64 = 120_000;
/// A trouble that does not end is seen to in pieces of so much, in ms: each queues every room there
/// is.
const LONGEST: i64 = 3_600_000;
/// The next look comes in a minute.
const TIME_TO_READ: Duration = Duration::from_secs(40);
/// Messages remembered, which a row has room for; one that is forgotten is one sign more.
const MAX_KNOWN: usize = 4_000;
/// Where the state is kept: a channel that is no room.
const STATE: &str = "[meta]log";

/// How far the metachannels have been read, and what trouble is not seen to yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    read_at: ReadAt,
    /// Messages that were read in the last minutes, by id.
    known: BTreeSet<String>,
    /// The first and last sign, ms since the epoch.
    trouble: Option<(i64, i64)>,
}

/// When the metachannels were last read: ms since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum ReadAt {
    Each(BTreeMap<String, i64>),
    /// As it was written before each had a time of its own.
    All(i64),
}

impl Default for ReadAt {
    fn default() -> Self {
        Self::Each(BTreeMap::new())
    }
}

impl ReadAt {
    fn of(&self, channel: &str) -> i64 {
        match self {
            Self::Each(times) => times.get(channel).copied().unwrap_or(0),
            Self::All(time) => *time,
        }
    }
}

/// Why a metachannel was not read.
enum Unread {
    Refused(RestError),
    NoTime,
}

/// What a look at the metachannels came to.
#[derive(Default)]
struct Look {
    signs: Vec<Trouble>,
    unread: Vec<(&'static str, Unread)>,
}

impl Function {
    /// Reads the metachannels; once trouble has ended, or lasts, queues rooms for its time.
    pub(super) async fn signs(&self, call: &Call<'_>) -> Result<Answer, Failed> {
        let (store, name) = (&self.sink.store, RoomName(STATE.into()));
        let state = store.document::<State>(&name, Document::State, "signs").await?;
        let mut state = state.unwrap_or_default();
        let rest = self.client().await?;
        let asked_at = now();
        let before = state.read_at.clone();
        let look = look(&rest, &mut state, asked_at, call.deadline).await;
        if let Some(error) = look.refused_key() {
            return Err(Failed(error.to_string()));
        }
        for Trouble { timestamp, reason } in &look.signs {
            tracing::warn!(at = timestamp, reason, "Ably tells of deliveries that failed");
            // What has no time is of now, and nothing of later.
            let at = timestamp.unwrap_or(asked_at).min(asked_at);
            let (first, last) = state.trouble.unwrap_or((at, at));
            state.trouble = Some((first.min(at), last.max(at)));
        }
        for channel in CHANNELS {
            // What Ably said in between, it no longer keeps.
            let (then, now) = (before.of(channel), state.read_at.of(channel));
            if then > 0 && now - then > OVERLAP {
                tracing::warn!(
                    channel,
                    from = then,
                    until = now,
                    "metachannel not read for a time"
                );
                let (first, last) = state.trouble.unwrap_or((then, now));
                state.trouble = Some((first.min(then), last.max(now)));
            }
        }
        // At once: Ably keeps for minutes what it says here, and to queue rooms may fail.
        self.keep(&state).await?;
        let mut rooms = 0;
        if let Some(trouble @ (first, last)) = state.trouble
            && (look.signs.is_empty() || last - first >= LONGEST)
        {
            rooms = self.see_to(trouble, &rest, asked_at, call).await?;
            if rooms > 0 || self.is_forgotten(last, asked_at) {
                state.trouble = None;
                self.keep(&state).await?;
            }
        }
        look.fail(&before, asked_at)?;
        Ok(Answer::Done(json!({"signs": look.signs.len(), "rooms": rooms})))
    }

    async fn keep(&self, state: &State) -> Result<(), Failed> {
        let key = (&RoomName(STATE.into()), Document::State, "signs");
        Ok(self.sink.store.put_document(key, state, None).await?)
    }

    /// Queues every room that may be concerned; how many.
    async fn see_to(
        &self,
        (first, last): (i64, i64),
        rest: &AblyRest,
        asked_at: i64,
        call: &Call<'_>,
    ) -> Result<usize, Failed> {
        let window = Window { from: first - MARGIN, until: last + MARGIN };
        let rooms = self.known_rooms(rest, self.history_days, call.deadline).await?;
        let span =
            |room| Work { from: Some(window.from), until: Some(window.until), ..Work::of(room) };
        // Not before its last minute is in the history.
        let wait = u64::try_from(window.until + LAST_MINUTE - asked_at).unwrap_or(0);
        let delay = Duration::from_millis(wait).max(Duration::from_secs(1));
        let rooms = self.send(rooms.into_iter().map(span), delay, call).await?;
        self.count(call, "TroubleWithoutRooms", u64::from(rooms == 0));
        if rooms == 0 {
            let (from, until) = (window.from, window.until);
            tracing::warn!(from, until, "Ably failed to deliver, and no room is known to look in");
        }
        Ok(rooms)
    }

    /// Whether Ably keeps nothing any more of a trouble that ended then.
    fn is_forgotten(&self, last: i64, asked_at: i64) -> bool {
        let is_forgotten = last < asked_at - i64::from(self.history_days) * MS_PER_DAY;
        if is_forgotten {
            tracing::error!(last, "what Ably failed to deliver is not in its history any more");
        }
        is_forgotten
    }
}

/// Reads what has been said since, each channel by itself, and moves on where it was read.
async fn look(rest: &AblyRest, state: &mut State, asked_at: i64, deadline: Instant) -> Look {
    let until = deadline.min(Instant::now() + TIME_TO_READ);
    let reads = CHANNELS.map(|channel| {
        let start = (state.read_at.of(channel) - OVERLAP).max(asked_at - MS_PER_DAY);
        let said = rest.meta(channel, (start, asked_at + LAST_MINUTE));
        async move { (channel, timeout_at(until, said).await) }
    });
    let (mut look, mut known) = (Look::default(), BTreeSet::new());
    let mut times: BTreeMap<String, i64> =
        CHANNELS.iter().map(|it| ((*it).to_owned(), state.read_at.of(it))).collect();
    for (channel, said) in join_all(reads).await {
        match said {
            Ok(Ok(items)) => {
                times.insert(channel.into(), asked_at);
                look.signs.extend(items.iter().filter_map(|item| {
                    let id = id(item);
                    known.insert(id.clone());
                    if state.known.contains(&id) { None } else { trouble(item) }
                }));
            }
            Ok(Err(error)) => look.unread.push((channel, Unread::Refused(error))),
            Err(_) => look.unread.push((channel, Unread::NoTime)),
        }
    }
    if !look.unread.is_empty() {
        known.extend(std::mem::take(&mut state.known));
    }
    state.known = known.into_iter().take(MAX_KNOWN).collect();
    state.read_at = ReadAt::Each(times);
    look
}

impl Look {
    fn refused_key(&self) -> Option<&RestError> {
        self.unread.iter().find_map(|(_, unread)| match unread {
            Unread::Refused(error) if error.is_of_key() => Some(error),
            _ => None,
        })
    }

    /// Fails if something may have been said that nobody will read: no channel can be read, the key
    /// may not, or it has not been read for longer than Ably keeps it.
    fn fail(&self, before: &ReadAt, asked_at: i64) -> Result<(), Failed> {
        let mut reasons = Vec::new();
        for (channel, unread) in &self.unread {
            let (reason, is_denied) = match unread {
                Unread::Refused(error) => (error.to_string(), !error.is_transient()),
                Unread::NoTime => ("no answer in time".to_owned(), false),
            };
            let is_missed = asked_at - before.of(channel) > OVERLAP;
            if is_denied || is_missed || self.unread.len() == CHANNELS.len() {
                reasons.push(format!("{channel} not read: {reason}"));
            } else {
                tracing::warn!(channel, reason, "metachannel not read; the next look will");
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(Failed(reasons.join("; "))) }
    }
}

/// What identifies a message that comes again.
fn id(item: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let named = serde_json::from_str::<Named>(item.get());
    named.map_or_else(|_| hex(&Sha256::digest(item.get())), |named| named.id)
}
