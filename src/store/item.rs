//! Chat values as DynamoDB items. Items carry the Chat SDK's own field names, so that one
//! unmarshals into the `Message` that Chat SDK users know.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::chat::{Annotation, ChatMessage, Data, JsonText, Reactions, SummaryOf, Version};
use crate::store::anonymous::{anonymous, anonymous_aside, is_number, json_text};
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
pub(super) const ASIDE: &str = "aside";
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

fn annotations_json(annotations: &BTreeMap<String, JsonText>, with_clients: bool) -> JsonText {
    if with_clients {
        return json_text(annotations);
    }
    let anonymous = annotations.iter().filter_map(|(kind, json)| Some((kind, anonymous(json)?)));
    json_text(&anonymous.collect::<BTreeMap<_, _>>())
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
