//! What Ably is asked about the messages of a chunk, beyond their page of history: versions that
//! the history does not list, and individual reactions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::{StreamExt, stream};

use crate::ably::{self, Fetched};
use crate::backfill::compare::{AtAbly, SETTLED_AFTER, is_edited};
use crate::backfill::outcome::WalkError;
use crate::backfill::walk::{Listed, Walk};
use crate::chat::{ChatMessage, Serial};
use crate::rest::Versions as Items;
use crate::store::{Archived, KeepVersions, Observation, Put};
use crate::time::now;

/// Such requests on their way at once.
const CONCURRENCY: usize = 16;

/// What Ably says of a chunk's messages.
pub(super) struct Asked<'a> {
    pub(super) at_ably: Vec<AtAbly<'a>>,
    /// Individual reactions that the table does not hold.
    pub(super) annotations: Vec<Lacking>,
}

/// An individual reaction that the table does not hold.
pub(super) struct Lacking {
    /// Serials of message and annotation.
    pub(super) key: (Serial, Serial),
    pub(super) put: Put,
}

impl Walk<'_> {
    /// Asks about a chunk's messages. What of it fails is refused, message by message.
    pub(super) async fn ask<'c>(
        &self,
        chunk: &'c [Listed],
        archive: &BTreeMap<Serial, Archived>,
        range: (&Serial, &Serial),
        asked_at: i64,
    ) -> Result<Asked<'c>, WalkError> {
        let mut histories = self.histories(chunk, archive).await?;
        let at_ably = chunk.iter().map(|listed| {
            let serial = &listed.message().serial;
            let history = histories.remove(serial);
            let settled = match &history {
                None => archive.get(serial).and_then(|found| self.settled(found, &listed.fetched)),
                Some(_) => None,
            };
            at_ably(&listed.fetched, history, settled, asked_at)
        });
        let at_ably = at_ably.collect();
        let annotations = match self.scope.annotations {
            true => self.annotations(chunk, range).await?,
            false => Vec::new(),
        };
        Ok(Asked { at_ably, annotations })
    }

    /// The number of versions of a message that has more than one, if they need not be asked for.
    fn settled(&self, archived: &Archived, fetched: &Fetched) -> Option<u64> {
        let is_asked = self.backfill.is_full || !self.keeps_versions() || !is_edited(fetched);
        if is_asked { None } else { archived.settled(&fetched.message.version.serial) }
    }

    fn keeps_versions(&self) -> bool {
        self.backfill.store.settings().versions != KeepVersions::Latest
    }

    /// All versions of those messages that have more than one, where the table does not know
    /// already that it has them all.
    async fn histories(
        &self,
        chunk: &[Listed],
        archive: &BTreeMap<Serial, Archived>,
    ) -> Result<HashMap<Serial, Vec<ChatMessage>>, WalkError> {
        let is_settled = |listed: &Listed| {
            let archived = archive.get(&listed.message().serial);
            archived.is_some_and(|found| self.settled(found, &listed.fetched).is_some())
        };
        let wanted = chunk.iter().filter(|listed| {
            self.keeps_versions() && is_edited(&listed.fetched) && !is_settled(listed)
        });
        let serials: Vec<_> = wanted.map(|listed| listed.message().serial.clone()).collect();
        let mut histories = stream::iter(serials)
            .map(|serial| async move {
                let items = self.backfill.rest.versions(self.room, &serial).await;
                (serial, items)
            })
            .buffer_unordered(CONCURRENCY);
        let mut found = HashMap::new();
        while let Some((serial, items)) = histories.next().await {
            match items {
                Ok(items) => match self.read(items, &serial) {
                    Ok(versions) => drop(found.insert(serial, versions)),
                    Err(reason) => self.refuse(Some(&serial), &reason),
                },
                Err(error) if error.is_of_key() => return Err(error.into()),
                Err(error) => self.refuse(Some(&serial), &error.to_string()),
            }
        }
        Ok(found)
    }

    fn read(&self, items: Items, serial: &Serial) -> Result<Vec<ChatMessage>, String> {
        let key = self.backfill.cipher_key.as_ref();
        let versions: Result<Vec<_>, _> = match items {
            Items::Chat(items) => {
                items.iter().map(|item| ably::chat_message(item, self.room).map(Some)).collect()
            }
            Items::PubSub(items) => {
                items.iter().map(|item| ably::pub_sub_message(item, self.room, key)).collect()
            }
        };
        let versions = versions.map_err(|error| format!("among its versions, {error}"))?;
        let versions: Vec<_> = versions.into_iter().flatten().map(|it| it.message).collect();
        if versions.iter().any(|version| version.serial != *serial) {
            return Err("among its versions is one of another message".into());
        }
        Ok(versions)
    }

    /// Individual reactions that the table does not hold, of the messages that have reactions.
    async fn annotations(
        &self,
        chunk: &[Listed],
        range: (&Serial, &Serial),
    ) -> Result<Vec<Lacking>, WalkError> {
        let (store, room) = (&self.backfill.store, self.room);
        let known = store.annotations(room, range, false).await?;
        let has_reactions = |listed: &&Listed| {
            listed.fetched.reactions.as_ref().is_some_and(|it| *it != Default::default())
        };
        let messages: Vec<_> =
            chunk.iter().filter(has_reactions).map(|listed| listed.message().clone()).collect();
        let mut asked = stream::iter(messages)
            .map(|message| async move {
                let items = self.backfill.rest.annotations(room, &message.serial).await;
                (message, items)
            })
            .buffer_unordered(CONCURRENCY);
        let mut lacking = Vec::new();
        while let Some((message, items)) = asked.next().await {
            let items = match items {
                Ok(items) => items,
                Err(error) if error.is_of_key() => return Err(error.into()),
                Err(error) => {
                    self.refuse(Some(&message.serial), &error.to_string());
                    continue;
                }
            };
            for item in items {
                let observation = Observation::of_read(now());
                let read = ably::annotation(&item, room, &message.serial)
                    .map_err(|error| format!("among its annotations, {error}"));
                let planned = read.and_then(|annotation| {
                    let put = store.plan_annotation(&annotation, message.timestamp, observation);
                    let put = put.map_err(|error| error.to_string())?;
                    Ok(Lacking { key: (message.serial.clone(), annotation.serial), put })
                });
                match planned {
                    Ok(found) if known.contains(&found.key) => {}
                    Ok(found) => lacking.push(found),
                    Err(reason) => self.refuse(Some(&message.serial), &reason),
                }
            }
        }
        Ok(lacking)
    }

    /// The number of these annotations that the table still does not hold.
    pub(super) async fn lacking(
        &self,
        wanted: &[(Serial, Serial)],
        range: (&Serial, &Serial),
    ) -> Result<u64, WalkError> {
        if wanted.is_empty() {
            return Ok(0);
        }
        let known: BTreeSet<_> = self.backfill.store.annotations(self.room, range, true).await?;
        Ok(wanted.iter().filter(|key| !known.contains(key)).count() as u64)
    }
}

/// A message at Ably, with all its versions where they were asked for.
fn at_ably(
    fetched: &Fetched,
    history: Option<Vec<ChatMessage>>,
    settled: Option<u64>,
    asked_at: i64,
) -> AtAbly<'_> {
    let latest = fetched.message.clone();
    // The latest is looked at all the same.
    let settled = settled.map_or(0, |count| count.saturating_sub(1));
    let is_asked = history.is_some();
    let mut versions: BTreeMap<Serial, ChatMessage> =
        history.into_iter().flatten().map(|it| (it.version.serial.clone(), it)).collect();
    // The list may lag behind the page, and a version that is not old yet behind another.
    let is_whole = is_asked && versions.contains_key(&latest.version.serial);
    // An edit that the list does not show yet, or the page did not.
    versions.insert(latest.version.serial.clone(), latest);
    let is_old = |it: &ChatMessage| it.version.timestamp + SETTLED_AFTER <= asked_at;
    let is_whole = is_whole && versions.values().all(is_old);
    let versions = versions.into_values().collect();
    AtAbly { versions, settled, is_whole, reactions: fetched.reactions.as_ref(), asked_at }
}
