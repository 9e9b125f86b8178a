//! `annotations.summary`: the full state of a message's annotations by type (features spec TM8a).
//! Ably's pages name its members in two ways; both are read, and one is written.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::ably::json;
use crate::ably::members::Members;
use crate::chat::{ClientIdCounts, ClientIdList, JsonText, Reactions, Summary};

/// Annotation types of the three Chat reaction types (Chat spec CHA-MR2).
const UNIQUE: &str = "reaction:unique.v1";
const DISTINCT: &str = "reaction:distinct.v1";
const MULTIPLE: &str = "reaction:multiple.v1";

/// Reads a summary. A reaction type of a shape nobody documented stays opaque under its own name
/// rather than being refused or halved.
pub(super) fn read(raw: &RawValue) -> Option<Summary> {
    let mut summary = Summary::default();
    for (kind, raw) in Members::of(raw)?.left() {
        let reactions = &mut summary.reactions;
        let understood = match &*kind {
            UNIQUE => by_name(raw, list).map(|names| reactions.unique = names),
            DISTINCT => by_name(raw, list).map(|names| reactions.distinct = names),
            MULTIPLE => by_name(raw, counts).map(|names| reactions.multiple = names),
            _ => None,
        };
        if understood.is_none() {
            summary.annotations.insert(kind.into_owned(), JsonText::from_raw(raw));
        }
    }
    Some(summary)
}

/// What a message of the Chat REST API says of its reactions.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// Nothing. Ably's SDKs take that for no reactions; an archive should not forget any for what
    /// was not said.
    Nothing,
    /// All of them.
    All(Reactions),
    /// Something in no known shape.
    Odd,
}

/// Reads `reactions` of a message of the Chat REST API: the same without the annotation types'
/// names (Chat spec, "Message" v4).
pub(super) fn reactions(raw: &RawValue) -> Said {
    let Some(mut found) = Members::of(raw) else { return Said::Odd };
    let kinds = ["unique", "distinct", "multiple"];
    let kinds: Vec<_> = found.split(&kinds).left().collect();
    let mut reactions = Reactions::default();
    let mut says_something = false;
    for (kind, raw) in kinds {
        if raw.get() == "null" {
            continue;
        }
        says_something = true;
        let understood = match &*kind {
            "unique" => by_name(raw, list).map(|names| reactions.unique = names),
            "distinct" => by_name(raw, list).map(|names| reactions.distinct = names),
            _ => by_name(raw, counts).map(|names| reactions.multiple = names),
        };
        if understood.is_none() {
            return Said::Odd;
        }
    }
    if says_something { Said::All(reactions) } else { Said::Nothing }
}

/// Reads one reaction type, name by name.
fn by_name<T>(
    raw: &RawValue,
    read: impl Fn(Members<'_>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let members: BTreeMap<String, &RawValue> = names(raw)?;
    let entries = unwrap_values(members).into_iter();
    entries.map(|(name, raw)| Some((name, read(Members::of(raw)?)?))).collect()
}

/// The members of an object whose names are people's.
fn names(raw: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// An entry of `unique` and `distinct` (features spec TM7c1, TM7d1). Zero-ish members are left out
/// on the wire.
fn list(mut entry: Members<'_>) -> Option<ClientIdList> {
    let ids = |raw: &RawValue| serde_json::from_str(raw.get()).ok();
    Some(ClientIdList {
        total: total(&mut entry)?,
        client_ids: known(&mut entry, "clientIds", ids)?.unwrap_or_default(),
        clipped: known(&mut entry, "clipped", json::boolean)?.unwrap_or(false),
        more: more(&entry, &["total", "clientIds", "clipped"])?,
    })
}

/// An entry of `multiple` (TM7e1); `clientCounts` and `count` are what some of Ably's pages say.
fn counts(mut entry: Members<'_>) -> Option<ClientIdCounts> {
    let ids = |raw: &RawValue| {
        let counts = names(raw)?.into_iter();
        counts.map(|(id, count)| Some((id, json::whole(count)?))).collect::<Option<_>>()
    };
    let client_ids = match known(&mut entry, "clientIds", ids)? {
        Some(counts) => Some(counts),
        None => known(&mut entry, "clientCounts", ids)?,
    };
    let count = |entry: &mut Members<'_>, name| known(entry, name, json::whole);
    Some(ClientIdCounts {
        total: total(&mut entry)?,
        client_ids: client_ids.unwrap_or_default(),
        total_unidentified: count(&mut entry, "totalUnidentified")?.unwrap_or(0),
        total_client_ids: count(&mut entry, "totalClientIds")?.unwrap_or(0),
        clipped: known(&mut entry, "clipped", json::boolean)?.unwrap_or(false),
        more: more(
            &entry,
            &["total", "clientIds", "totalUnidentified", "totalClientIds", "clipped"],
        )?,
    })
}

fn total(entry: &mut Members<'_>) -> Option<u64> {
    match known(entry, "total", json::whole)? {
        Some(total) => Some(total),
        None => Some(known(entry, "count", json::whole)?.unwrap_or(0)),
    }
}

/// Takes a known member of an entry: `Some(None)` if it is absent, `None` if it cannot be read.
fn known<'a, T>(
    entry: &mut Members<'a>,
    name: &str,
    read: impl Fn(&'a RawValue) -> Option<T>,
) -> Option<Option<T>> {
    entry
        .take_if(name, |raw| match raw.get() {
            "null" => Some(None),
            _ => read(raw).map(Some),
        })
        .or_else(|| (!entry.has(name)).then_some(None))
}

/// The members of an entry that this program does not know; `None` if a known one came twice.
fn more(entry: &Members<'_>, known: &[&str]) -> Option<BTreeMap<String, JsonText>> {
    let left = entry.left().map(|(name, raw)| (name.into_owned(), JsonText::from_raw(raw)));
    let more: BTreeMap<_, _> = left.collect();
    let is_twice = known.iter().any(|name| more.contains_key(*name));
    (!is_twice).then_some(more)
}

/// One REST answer puts an object `values` between the type and the names. It is taken off only
/// where it cannot be a reaction of that name: alone, without a total, over entries that have one.
fn unwrap_values(members: BTreeMap<String, &RawValue>) -> BTreeMap<String, &RawValue> {
    let has_total = |raw: &RawValue| {
        let entry = Members::of(raw);
        entry.is_some_and(|mut entry| {
            ["total", "count"].iter().any(|it| entry.take_if(it, json::whole::<u64>).is_some())
        })
    };
    if let (1, Some(values)) = (members.len(), members.get("values"))
        && !has_total(values)
        && let Some(inner) = names(values)
        && !inner.is_empty()
        && inner.values().all(|raw| has_total(raw))
    {
        return inner;
    }
    members
}
