//! DynamoDB items back to chat values.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

use crate::chat::{
    Action, ChatMessage, ClientIdCounts, ClientIdList, Data, JsonText, RawData, Reactions,
    RoomName, Serial, Summary, Version,
};
use crate::store::attribute;
use crate::store::item::{ASIDE, Item, RECEIVED_AT};
use crate::store::key;

/// The row of current reactions.
#[derive(Clone, Debug, PartialEq)]
pub struct ReactionsRow {
    /// The message version they were seen on.
    pub version: Serial,
    /// When they arrived: ms since the epoch; `None` if they rode on a version.
    pub received_at: Option<i64>,
    /// The state.
    pub summary: Summary,
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
        aside: match object(item, ASIDE)? {
            Some(json) => serde_json::from_str(json.as_str()).map_err(|_| "aside is no object")?,
            None => BTreeMap::new(),
        },
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

fn reactions_from(json: &JsonText) -> Option<Reactions> {
    let mut kinds: BTreeMap<String, BTreeMap<String, Entry>> =
        serde_json::from_str(json.as_str()).ok()?;
    Some(Reactions {
        unique: by_name(kinds.remove("unique")?, client_id_list)?,
        distinct: by_name(kinds.remove("distinct")?, client_id_list)?,
        multiple: by_name(kinds.remove("multiple")?, client_id_counts)?,
    })
}

/// The members of one reaction.
type Entry = BTreeMap<String, JsonText>;

fn by_name<T>(
    names: BTreeMap<String, Entry>,
    read: impl Fn(Entry) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    names.into_iter().map(|(name, entry)| Some((name, read(entry)?))).collect()
}

fn client_id_list(mut entry: Entry) -> Option<ClientIdList> {
    Some(ClientIdList {
        total: member(&mut entry, "total")?,
        client_ids: member(&mut entry, "clientIds")?,
        clipped: member(&mut entry, "clipped")?,
        more: entry,
    })
}

fn client_id_counts(mut entry: Entry) -> Option<ClientIdCounts> {
    Some(ClientIdCounts {
        total: member(&mut entry, "total")?,
        client_ids: member(&mut entry, "clientIds")?,
        total_unidentified: member(&mut entry, "totalUnidentified")?,
        total_client_ids: member(&mut entry, "totalClientIds")?,
        clipped: member(&mut entry, "clipped")?,
        more: entry,
    })
}

fn member<T: DeserializeOwned>(entry: &mut Entry, name: &str) -> Option<T> {
    serde_json::from_str(entry.remove(name)?.as_str()).ok()
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
