//! Chat values and DynamoDB items. Items carry the Chat SDK's own field names, so that one
//! unmarshals into the `Message` that Chat SDK users know.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
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
/// Members of a message that no field holds.
const ASIDE: &str = "aside";
/// What a publisher says of a message, or who changed it: nothing about reactions.
const OF_THE_PUBLISHER: [&str; 11] = [
    "action",
    "clientId",
    "data",
    "encoding",
    "extras",
    "headers",
    "name",
    "serial",
    "timestamp",
    "userClaim",
    "version",
];
/// Room for the attributes that are added to an item once it is built: the key, `expiresAt` and
/// `receivedAt`.
const SPARE_BYTES: usize = 4 * 1_024;

/// Bytes of an item without its key.
pub(super) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + attribute::size(value)).sum()
}

/// A message version's attributes. What it says aside of reactions names nobody without
/// `with_clients`.
pub(super) fn of_message(message: &ChatMessage, with_clients: bool) -> Item {
    fitting(|form| message_item(message, with_clients, form))
}

/// A summary's attributes.
pub(super) fn of_summary(summary: &SummaryOf, with_clients: bool) -> Item {
    fitting(|form| summary_item(summary, with_clients, form))
}

/// The item in the first form that stays within the limit; else in the last.
fn fitting(build: impl Fn(Form) -> Item) -> Item {
    for form in [Form::Native, Form::Text] {
        let item = build(form);
        if size(&item) + SPARE_BYTES <= MAX_BYTES {
            return item;
        }
    }
    build(Form::Bare)
}

/// How an item is built, the most readable form first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON objects as maps, where DynamoDB holds them exactly.
    Native,
    /// JSON objects as their text.
    Text,
    /// The same without what no field holds: its names alone are kept. That it is there must not
    /// keep a message out.
    Bare,
}

/// Puts a JSON object under `name`, or its text under `<name>Json`.
fn put_object(map: &mut Item, name: &str, json: &JsonText, form: Form, depth: usize) {
    let native = match form {
        Form::Native => attribute::native(json.as_str(), depth),
        Form::Text | Form::Bare => None,
    };
    match native {
        Some(value) => map.insert(name.into(), value),
        None => map.insert(format!("{name}Json"), text(json.as_str())),
    };
}

/// Puts members that no field holds.
fn put_aside(map: &mut Item, aside: &BTreeMap<String, JsonText>, form: Form) {
    let json = match form {
        _ if aside.is_empty() => return,
        Form::Native | Form::Text => json_text(aside),
        Form::Bare => json_text(&aside.keys().map(|name| (name, ())).collect::<BTreeMap<_, _>>()),
    };
    put_object(map, ASIDE, &json, form, 0);
}

fn message_item(message: &ChatMessage, with_clients: bool, form: Form) -> Item {
    let mut item = Item::from([
        ("serial".into(), text(message.serial.as_str())),
        ("clientId".into(), text(&message.client_id)),
        ("text".into(), text(&message.text)),
        ("action".into(), text(message.action.as_str())),
        ("timestamp".into(), number(message.timestamp)),
        ("version".into(), AttributeValue::M(version_map(&message.version, form))),
    ]);
    put_object(&mut item, "metadata", &message.metadata, form, 0);
    put_object(&mut item, "headers", &message.headers, form, 0);
    put_text(&mut item, "userClaim", message.user_claim.as_deref());
    if let Some(raw) = &message.raw {
        let data = match &raw.data {
            Data::Text(data) => text(data),
            Data::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        };
        item.insert("data".into(), data);
        put_text(&mut item, "encoding", raw.encoding.as_deref());
    }
    match with_clients {
        true => put_aside(&mut item, &message.aside, form),
        false => put_aside(&mut item, &anonymous_aside(&message.aside), form),
    }
    item
}

fn version_map(version: &Version, form: Form) -> Item {
    let mut map = Item::from([
        ("serial".into(), text(version.serial.as_str())),
        ("timestamp".into(), number(version.timestamp)),
    ]);
    put_text(&mut map, "clientId", version.client_id.as_deref());
    put_text(&mut map, "description", version.description.as_deref());
    if let Some(metadata) = &version.metadata {
        put_object(&mut map, "metadata", metadata, form, 1);
    }
    map
}

fn summary_item(summary: &SummaryOf, with_clients: bool, form: Form) -> Item {
    let version = Item::from([("serial".into(), text(summary.version.as_str()))]);
    let mut item = Item::from([
        ("serial".into(), text(summary.serial.as_str())),
        ("version".into(), AttributeValue::M(version)),
    ]);
    let reactions = reactions_json(&summary.summary.reactions, with_clients, form);
    put_object(&mut item, "reactions", &reactions, form, 0);
    if !summary.summary.annotations.is_empty() {
        let annotations = annotations_json(&summary.summary.annotations, with_clients);
        put_object(&mut item, "annotations", &annotations, form, 0);
    }
    item
}

fn reactions_json(reactions: &Reactions, with_clients: bool, form: Form) -> JsonText {
    let mut reactions = reactions.clone();
    let Reactions { unique, distinct, multiple } = &mut reactions;
    let shorten = |more: &mut BTreeMap<String, JsonText>| match (form, with_clients) {
        (Form::Bare, _) => more.clear(),
        (Form::Native | Form::Text, false) => more.retain(|_, json| is_number(json)),
        (Form::Native | Form::Text, true) => {}
    };
    for list in unique.values_mut().chain(distinct.values_mut()) {
        shorten(&mut list.more);
        list.client_ids.retain(|_| with_clients);
    }
    for counts in multiple.values_mut() {
        shorten(&mut counts.more);
        counts.client_ids.retain(|_, _| with_clients);
    }
    json_text(&reactions)
}

/// Whether JSON is a number, a boolean or null: nothing that names anybody.
fn is_number(json: &JsonText) -> bool {
    !json.as_str().starts_with(['"', '[', '{'])
}

fn annotations_json(annotations: &BTreeMap<String, JsonText>, with_clients: bool) -> JsonText {
    if with_clients {
        return json_text(annotations);
    }
    let anonymous = annotations.iter().filter_map(|(kind, json)| Some((kind, anonymous(json)?)));
    json_text(&anonymous.collect::<BTreeMap<_, _>>())
}

/// Members of a message that no field holds, without anybody who reacted: what is none of the
/// publisher's own may be about reactions.
fn anonymous_aside(aside: &BTreeMap<String, JsonText>) -> BTreeMap<String, JsonText> {
    let anonymous = aside.iter().filter_map(|(name, json)| match is_publishers(name) {
        true => Some((name.clone(), json.clone())),
        false => Some((name.clone(), anonymous(json)?)),
    });
    anonymous.collect()
}

/// Whether a member kept aside is the publisher's, by its name.
pub(super) fn is_publishers(name: &str) -> bool {
    let member = name.split(['.', '#']).next().unwrap_or(name);
    OF_THE_PUBLISHER.contains(&member)
}

/// JSON about reactions that names nobody. What cannot be read cannot be shown to name nobody: it
/// is left out.
fn anonymous(json: &JsonText) -> Option<JsonText> {
    let mut value: Value = serde_json::from_str(json.as_str()).ok()?;
    forget_clients(&mut value);
    (!names_somebody(&value)).then(|| json_text(&value))
}

/// Leaves names of reactions and their numbers: a member that is a text or an array may name
/// somebody, and so may the names within an entry, which is what has a total.
fn forget_clients(value: &mut Value) {
    let Value::Object(map) = value else { return };
    let is_entry = map.contains_key("total") || map.contains_key("count");
    map.retain(|name, member| {
        let may_name = matches!(name.as_str(), "clientIds" | "clientCounts")
            || names_somebody(member)
            || (is_entry && member.is_object());
        !may_name
    });
    map.values_mut().for_each(forget_clients);
}

fn names_somebody(value: &Value) -> bool {
    value.is_string() || value.is_array()
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
        put_object(&mut item, "data", data, Form::Native, 0);
    }
    put_aside(&mut item, &annotation.aside, Form::Native);
    item
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
