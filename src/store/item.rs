//! Chat values and DynamoDB items. Items carry the Chat SDK's own field names, so that one
//! unmarshals into the `Message` that Chat SDK users know.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use crate::chat::{
    Action, Annotation, ChatMessage, ClientIdCounts, ClientIdList, Data, JsonText, RawData,
    Reactions, RoomName, Serial, Summary, SummaryOf, Version,
};
use crate::store::archive::ReactionsRow;
use crate::store::attribute;
use crate::store::key;

/// A row as DynamoDB sees it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// DynamoDB's limit on an item, names and values together.
pub(super) const MAX_BYTES: usize = 400 * 1_024;
/// What the names of the two key attributes count.
pub(super) const KEY_NAME_BYTES: usize = key::PK.len() + key::SK.len();
/// When a summary arrived, in ms since the epoch.
pub(super) const RECEIVED_AT: &str = "receivedAt";
/// The digest of all versions up to a version, on its row: they were those at Ably.
pub(super) const SETTLED: &str = "versionsSha256";
/// Room for the attributes that are added to an item once it is built: the key, `expiresAt` and
/// `receivedAt`.
const SPARE_BYTES: usize = 4 * 1_024;

/// Bytes of an item without its key.
pub(super) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + attribute::size(value)).sum()
}

/// A message version's attributes.
pub(super) fn of_message(message: &ChatMessage) -> Item {
    fitting(|maps| message_item(message, maps))
}

/// A summary's attributes.
pub(super) fn of_summary(summary: &SummaryOf, with_clients: bool) -> Item {
    fitting(|maps| summary_item(summary, with_clients, maps))
}

/// The item with native maps where DynamoDB holds them exactly, if it stays within the limit so;
/// else with all of them as text.
fn fitting(build: impl Fn(Maps) -> Item) -> Item {
    let item = build(Maps::Native);
    if size(&item) + SPARE_BYTES <= MAX_BYTES { item } else { build(Maps::Text) }
}

/// How JSON objects are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maps {
    Native,
    Text,
}

/// Puts a JSON object under `name`, or its text under `<name>Json`.
fn put_object(map: &mut Item, name: &str, json: &JsonText, maps: Maps, depth: usize) {
    let native = match maps {
        Maps::Native => attribute::native(json.as_str(), depth),
        Maps::Text => None,
    };
    match native {
        Some(value) => map.insert(name.into(), value),
        None => map.insert(format!("{name}Json"), text(json.as_str())),
    };
}

fn message_item(message: &ChatMessage, maps: Maps) -> Item {
    let mut item = Item::from([
        ("serial".into(), text(message.serial.as_str())),
        ("clientId".into(), text(&message.client_id)),
        ("text".into(), text(&message.text)),
        ("action".into(), text(message.action.as_str())),
        ("timestamp".into(), number(message.timestamp)),
        ("version".into(), AttributeValue::M(version_map(&message.version, maps))),
    ]);
    put_object(&mut item, "metadata", &message.metadata, maps, 0);
    put_object(&mut item, "headers", &message.headers, maps, 0);
    put_text(&mut item, "userClaim", message.user_claim.as_deref());
    if let Some(raw) = &message.raw {
        let data = match &raw.data {
            Data::Text(data) => text(data),
            Data::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        };
        item.insert("data".into(), data);
        put_text(&mut item, "encoding", raw.encoding.as_deref());
    }
    item
}

fn version_map(version: &Version, maps: Maps) -> Item {
    let mut map = Item::from([
        ("serial".into(), text(version.serial.as_str())),
        ("timestamp".into(), number(version.timestamp)),
    ]);
    put_text(&mut map, "clientId", version.client_id.as_deref());
    put_text(&mut map, "description", version.description.as_deref());
    if let Some(metadata) = &version.metadata {
        put_object(&mut map, "metadata", metadata, maps, 1);
    }
    map
}

fn summary_item(summary: &SummaryOf, with_clients: bool, maps: Maps) -> Item {
    let version = Item::from([("serial".into(), text(summary.version.as_str()))]);
    let mut item = Item::from([
        ("serial".into(), text(summary.serial.as_str())),
        ("version".into(), AttributeValue::M(version)),
    ]);
    let reactions = reactions_json(&summary.summary.reactions, with_clients);
    put_object(&mut item, "reactions", &reactions, maps, 0);
    if !summary.summary.annotations.is_empty() {
        let annotations = annotations_json(&summary.summary.annotations, with_clients);
        put_object(&mut item, "annotations", &annotations, maps, 0);
    }
    item
}

fn reactions_json(reactions: &Reactions, with_clients: bool) -> JsonText {
    let mut reactions = reactions.clone();
    if !with_clients {
        let Reactions { unique, distinct, multiple } = &mut reactions;
        unique.values_mut().for_each(|list| list.client_ids.clear());
        distinct.values_mut().for_each(|list| list.client_ids.clear());
        multiple.values_mut().for_each(|counts| counts.client_ids.clear());
    }
    json_text(&reactions)
}

fn annotations_json(annotations: &BTreeMap<String, JsonText>, with_clients: bool) -> JsonText {
    if with_clients {
        return json_text(annotations);
    }
    // An annotation that cannot be read cannot be shown to name nobody: it is left out.
    let anonymous: BTreeMap<_, _> = annotations
        .iter()
        .filter_map(|(kind, json)| {
            let mut value: Value = serde_json::from_str(json.as_str()).ok()?;
            forget_clients(&mut value);
            Some((kind, value))
        })
        .collect();
    json_text(&anonymous)
}

fn forget_clients(value: &mut Value) {
    if let Value::Object(map) = value {
        map.remove("clientIds");
        map.remove("clientCounts");
        map.values_mut().for_each(forget_clients);
    }
}

fn json_text<T: serde::Serialize>(value: &T) -> JsonText {
    let text = serde_json::to_string(value).expect("maps with string keys serialise");
    JsonText::parse(text).expect("what was serialised parses")
}

/// Adds when a summary arrived, which orders those of one message version.
pub(super) fn mark_received(item: &mut Item, received_at: i64) {
    item.insert(RECEIVED_AT.into(), number(received_at));
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn put_text(map: &mut Item, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        map.insert(name.into(), text(value));
    }
}

/// Why a row cannot be read: it was not written by this program, or was changed since.
pub(super) type Unreadable = &'static str;

/// Reads a message version back.
pub(super) fn to_message(item: &Item) -> Result<ChatMessage, Unreadable> {
    let version = map(item, "version")?;
    Ok(ChatMessage {
        room: RoomName(string(item, key::PK)?.into()),
        serial: Serial(string(item, "serial")?.into()),
        client_id: string(item, "clientId")?.into(),
        text: string(item, "text")?.into(),
        metadata: object(item, "metadata")?.unwrap_or_default(),
        headers: object(item, "headers")?.unwrap_or_default(),
        user_claim: optional(item, "userClaim"),
        action: match string(item, "action")? {
            "message.create" => Action::Create,
            "message.update" => Action::Update,
            "message.delete" => Action::Delete,
            _ => return Err("unknown action"),
        },
        timestamp: integer(item, "timestamp")?,
        version: Version {
            serial: Serial(string(version, "serial")?.into()),
            timestamp: integer(version, "timestamp")?,
            client_id: optional(version, "clientId"),
            description: optional(version, "description"),
            metadata: object(version, "metadata")?,
        },
        raw: raw(item)?,
    })
}

fn raw(item: &Item) -> Result<Option<RawData>, Unreadable> {
    let data = match item.get("data") {
        None => return Ok(None),
        Some(AttributeValue::S(data)) => Data::Text(data.clone()),
        Some(AttributeValue::B(bytes)) => Data::Bytes(bytes.as_ref().to_vec()),
        Some(_) => return Err("data is neither a string nor binary"),
    };
    Ok(Some(RawData { data, encoding: optional(item, "encoding") }))
}

/// Reads a summary back: the message it belongs to, and its state.
pub(super) fn to_summary(item: &Item) -> Result<(Serial, Summary), Unreadable> {
    let serial = Serial(string(item, "serial")?.into());
    let reactions = match object(item, "reactions")? {
        Some(json) => reactions_from(&json).ok_or("reactions are not of the known shape")?,
        None => Reactions::default(),
    };
    let annotations = match object(item, "annotations")? {
        Some(json) => serde_json::from_str(json.as_str()).map_err(|_| "annotations")?,
        None => BTreeMap::new(),
    };
    Ok((serial, Summary { reactions, annotations }))
}

/// Reads a row of current reactions back: the message it belongs to, and the row.
pub(super) fn to_reactions_row(item: &Item) -> Result<(Serial, ReactionsRow), Unreadable> {
    let (serial, summary) = to_summary(item)?;
    let version = Serial(string(map(item, "version")?, "serial")?.into());
    let received_at = item.get(RECEIVED_AT).map(|_| integer(item, RECEIVED_AT)).transpose()?;
    Ok((serial, ReactionsRow { version, received_at, summary }))
}

/// Reads of an annotation's row which it is: serials of message and annotation.
pub(super) fn to_annotation_key(item: &Item) -> Result<(Serial, Serial), Unreadable> {
    Ok((Serial(string(item, "messageSerial")?.into()), Serial(string(item, "serial")?.into())))
}

/// An annotation's attributes.
pub(super) fn of_annotation(annotation: &Annotation) -> Item {
    let action = if annotation.is_delete { "annotation.delete" } else { "annotation.create" };
    let mut item = Item::from([
        ("messageSerial".into(), text(annotation.message.as_str())),
        ("serial".into(), text(annotation.serial.as_str())),
        ("type".into(), text(&annotation.kind)),
        ("action".into(), text(action)),
        ("timestamp".into(), number(annotation.timestamp)),
    ]);
    put_text(&mut item, "name", annotation.name.as_deref());
    put_text(&mut item, "clientId", annotation.client_id.as_deref());
    put_text(&mut item, "userClaim", annotation.user_claim.as_deref());
    put_text(&mut item, "encoding", annotation.encoding.as_deref());
    if let Some(count) = annotation.count {
        item.insert("count".into(), AttributeValue::N(count.to_string()));
    }
    if let Some(data) = &annotation.data {
        put_object(&mut item, "data", data, Maps::Native, 0);
    }
    item
}

fn reactions_from(json: &JsonText) -> Option<Reactions> {
    let value: Value = serde_json::from_str(json.as_str()).ok()?;
    Some(Reactions {
        unique: by_name(&value, "unique", client_id_list)?,
        distinct: by_name(&value, "distinct", client_id_list)?,
        multiple: by_name(&value, "multiple", client_id_counts)?,
    })
}

fn by_name<T>(
    value: &Value,
    kind: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let names = value.get(kind)?.as_object()?;
    names.iter().map(|(name, entry)| Some((name.clone(), read(entry)?))).collect()
}

fn client_id_list(entry: &Value) -> Option<ClientIdList> {
    let ids = entry.get("clientIds")?.as_array()?;
    Some(ClientIdList {
        total: entry.get("total")?.as_u64()?,
        client_ids: ids.iter().map(|id| id.as_str().map(Into::into)).collect::<Option<_>>()?,
        clipped: entry.get("clipped")?.as_bool()?,
    })
}

fn client_id_counts(entry: &Value) -> Option<ClientIdCounts> {
    let counts = entry.get("clientIds")?.as_object()?;
    let counts = counts.iter().map(|(id, count)| Some((id.clone(), count.as_u64()?)));
    Some(ClientIdCounts {
        total: entry.get("total")?.as_u64()?,
        client_ids: counts.collect::<Option<_>>()?,
        total_unidentified: entry.get("totalUnidentified")?.as_u64()?,
        total_client_ids: entry.get("totalClientIds")?.as_u64()?,
        clipped: entry.get("clipped")?.as_bool()?,
    })
}

fn string<'a>(item: &'a Item, name: &str) -> Result<&'a str, Unreadable> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or("a string is missing")
}

fn integer(item: &Item, name: &str) -> Result<i64, Unreadable> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|number| number.parse().ok()).ok_or("a number is missing")
}

fn map<'a>(item: &'a Item, name: &str) -> Result<&'a Item, Unreadable> {
    item.get(name).and_then(|value| value.as_m().ok()).ok_or("a map is missing")
}

fn optional(item: &Item, name: &str) -> Option<String> {
    item.get(name).and_then(|value| value.as_s().ok()).cloned()
}

/// A JSON object in either form, native or text.
fn object(item: &Item, name: &str) -> Result<Option<JsonText>, Unreadable> {
    let json = match (item.get(name), item.get(&format!("{name}Json"))) {
        (Some(native), _) => attribute::to_json(native).ok_or("a map holds a type JSON lacks")?,
        (None, Some(AttributeValue::S(text))) => text.clone(),
        (None, Some(_)) => return Err("JSON text is not a string"),
        (None, None) => return Ok(None),
    };
    JsonText::parse(json).map(Some).map_err(|_| "JSON text is not JSON")
}
