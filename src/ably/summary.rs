//! `annotations.summary`: the full state of a message's annotations by type (features spec TM8a).
//! Ably's pages name its members in two ways; both are read, and one is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ably::json::{self, Mistyped, Path};
use crate::chat::{ClientIdCounts, ClientIdList, JsonText, Reactions, Summary};

/// Annotation types of the three Chat reaction types (Chat spec CHA-MR2).
const UNIQUE: &str = "reaction:unique.v1";
const DISTINCT: &str = "reaction:distinct.v1";
const MULTIPLE: &str = "reaction:multiple.v1";

/// `unique` and `distinct` (TM7c1, TM7d1). Zero-ish members are left out on the wire.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireList {
    total: Option<u64>,
    count: Option<u64>,
    client_ids: Option<Vec<String>>,
    clipped: Option<bool>,
}

/// `multiple` (TM7e1); `clientCounts` and `count` are what some of Ably's pages say.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCounts {
    total: Option<u64>,
    count: Option<u64>,
    client_ids: Option<BTreeMap<String, u64>>,
    client_counts: Option<BTreeMap<String, u64>>,
    total_unidentified: Option<u64>,
    total_client_ids: Option<u64>,
    clipped: Option<bool>,
}

impl From<WireList> for ClientIdList {
    fn from(wire: WireList) -> Self {
        Self {
            total: wire.total.or(wire.count).unwrap_or(0),
            client_ids: wire.client_ids.unwrap_or_default(),
            clipped: wire.clipped.unwrap_or(false),
        }
    }
}

impl From<WireCounts> for ClientIdCounts {
    fn from(wire: WireCounts) -> Self {
        Self {
            total: wire.total.or(wire.count).unwrap_or(0),
            client_ids: wire.client_ids.or(wire.client_counts).unwrap_or_default(),
            total_unidentified: wire.total_unidentified.unwrap_or(0),
            total_client_ids: wire.total_client_ids.unwrap_or(0),
            clipped: wire.clipped.unwrap_or(false),
        }
    }
}

/// Reads a summary. A reaction type of a shape nobody documented stays opaque under its own name
/// rather than being refused or halved.
pub(super) fn read(raw: &RawValue, path: &Path<'_>) -> Result<Summary, Mistyped> {
    let mut summary = Summary::default();
    for (kind, raw) in json::read::<BTreeMap<String, &RawValue>>(raw, path)? {
        let understood = match kind.as_str() {
            UNIQUE => fill::<WireList, _>(raw, &mut summary.reactions.unique),
            DISTINCT => fill::<WireList, _>(raw, &mut summary.reactions.distinct),
            MULTIPLE => fill::<WireCounts, _>(raw, &mut summary.reactions.multiple),
            _ => None,
        };
        if understood.is_none() {
            summary.annotations.insert(kind, JsonText::from_raw(raw));
        }
    }
    Ok(summary)
}

/// The same without the annotation types' names: `reactions` of a message of the Chat REST API (Chat
/// spec, "Message" v4).
#[derive(Deserialize)]
struct RestReactions<'a> {
    #[serde(borrow)]
    unique: Option<&'a RawValue>,
    #[serde(borrow)]
    distinct: Option<&'a RawValue>,
    #[serde(borrow)]
    multiple: Option<&'a RawValue>,
}

/// Reads the reactions of a message of the Chat REST API; `None` if it names no type. Ably's SDKs take
/// that for no reactions; an archive should not forget any for what was not said.
pub(super) fn reactions(raw: &RawValue, path: &Path<'_>) -> Result<Option<Reactions>, Mistyped> {
    let found: RestReactions<'_> = json::object(raw, path)?;
    if let RestReactions { unique: None, distinct: None, multiple: None } = found {
        return Ok(None);
    }
    let mut reactions = Reactions::default();
    let unknown = |kind| Mistyped::new(&path.member(kind), "not of the known shape");
    if let Some(raw) = found.unique {
        fill::<WireList, _>(raw, &mut reactions.unique).ok_or_else(|| unknown("unique"))?;
    }
    if let Some(raw) = found.distinct {
        fill::<WireList, _>(raw, &mut reactions.distinct).ok_or_else(|| unknown("distinct"))?;
    }
    if let Some(raw) = found.multiple {
        fill::<WireCounts, _>(raw, &mut reactions.multiple).ok_or_else(|| unknown("multiple"))?;
    }
    Ok(Some(reactions))
}

/// Reads one reaction type, name by name.
fn fill<'a, W, T>(raw: &'a RawValue, names: &mut BTreeMap<String, T>) -> Option<()>
where
    W: Deserialize<'a>,
    T: From<W>,
{
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).ok()?;
    let mut read = BTreeMap::new();
    for (name, raw) in unwrap_values(members) {
        let entry: W = json::object(raw, &Path::Root).ok()?;
        read.insert(name, T::from(entry));
    }
    *names = read;
    Some(())
}

/// One REST answer puts an object `values` between the type and the names. It is taken off only
/// where it cannot be a reaction of that name: alone, without a total, over entries that have one.
fn unwrap_values(members: BTreeMap<String, &RawValue>) -> BTreeMap<String, &RawValue> {
    #[derive(Deserialize)]
    struct Total {
        total: Option<u64>,
        count: Option<u64>,
    }
    let has_total = |raw: &RawValue| {
        serde_json::from_str::<Total>(raw.get())
            .is_ok_and(|entry| entry.total.or(entry.count).is_some())
    };
    if let (1, Some(values)) = (members.len(), members.get("values"))
        && !has_total(values)
        && let Ok(inner) = serde_json::from_str::<BTreeMap<String, &RawValue>>(values.get())
        && !inner.is_empty()
        && inner.values().all(|raw| has_total(raw))
    {
        return inner;
    }
    members
}
