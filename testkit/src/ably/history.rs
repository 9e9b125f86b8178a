//! Pages of a room's history, in the Chat form and in that of Pub/Sub.

use std::collections::BTreeMap;

use axum::http::header;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::route::{error, list};
use super::{Behaviour, Message};

pub(super) fn history(
    room: &BTreeMap<String, Message>,
    query: &BTreeMap<String, String>,
    (behaviour, number_of_page): (&Behaviour, u64),
    is_pub_sub: bool,
) -> Response {
    let start = number(query, "start").unwrap_or(0);
    let end = number(query, "end").unwrap_or(i64::MAX);
    let limit = number(query, "limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100);
    let direction = query.get("direction").map_or("backwards", String::as_str);
    if limit > 1_000 || !["backwards", "forwards"].contains(&direction) {
        return error(400, 40_003, "invalid parameter");
    }
    let is_backwards = behaviour.is_backwards || direction == "backwards";
    let cursor = query.get("cursor").map_or("", String::as_str);
    let (cursor, made_for) = cursor.split_once('~').unwrap_or((cursor, ""));
    if behaviour.fixes_limits && !cursor.is_empty() && made_for != limit.to_string() {
        return error(400, 40_003, "invalid parameter");
    }
    let is_empty =
        behaviour.empty_pages.is_some_and(|period| number_of_page.is_multiple_of(period));
    let from_serial = query.get("fromSerial").map(String::as_str);
    let is_within_bound = |serial: &str| match (from_serial, is_backwards) {
        (None, _) => true,
        (Some(bound), _) if serial == bound => !behaviour.excludes_from_serial,
        (Some(bound), true) => serial < bound || serial.starts_with(&format!("{bound}:")),
        (Some(bound), false) => serial > bound,
    };
    let is_kept = |serial: &str| serial >= behaviour.forgets_before.as_str();
    let is_after = |serial: &str| match (is_backwards, behaviour.repeats) {
        (true, _) => cursor.is_empty() || serial < cursor,
        (false, true) => serial >= cursor,
        (false, false) => serial > cursor,
    };
    let within =
        |time: i64| start <= time && (time < end || behaviour.is_end_included && time == end);
    let from = if is_backwards { "" } else { cursor };
    let found = room.range(from.to_owned()..).filter(|(serial, message)| {
        let time = message.versions.last().and_then(|latest| latest["timestamp"].as_i64());
        let is_there = is_after(serial) && is_within_bound(serial) && is_kept(serial);
        is_there && time.is_some_and(within)
    });
    let found: Box<dyn Iterator<Item = _>> =
        if is_backwards { Box::new(found.rev()) } else { Box::new(found) };
    let mut found = found.peekable();
    let mut items = Vec::new();
    let mut last = cursor.to_owned();
    while !is_empty && items.len() < limit.min(behaviour.page) && found.peek().is_some() {
        let (serial, message) = found.next().expect("a message was peeked at");
        last.clone_from(serial);
        let latest = latest(message);
        items.push(if is_pub_sub { pub_sub(&latest) } else { latest });
    }
    let more = found.peek().is_some();
    let cursor = if behaviour.is_circular { cursor } else { &last };
    let mut response = list(&items);
    if more || behaviour.is_circular {
        let bound = from_serial.map(|bound| format!("&fromSerial={}", encoded(bound)));
        let bound = bound.unwrap_or_default();
        let rest = format!("start={start}&end={end}&limit={limit}&direction={direction}{bound}");
        let made_for = if behaviour.fixes_limits { format!("~{limit}") } else { String::new() };
        link(&mut response, &rest, &format!("{cursor}{made_for}"), behaviour.is_link_joined);
    }
    response
}

/// A message in its latest version, with its reactions.
pub(super) fn latest(message: &Message) -> Value {
    let mut latest = message.versions.last().expect("a message has a version").clone();
    let none = || json!({"unique": {}, "distinct": {}, "multiple": {}});
    latest["reactions"] = message.reactions.clone().unwrap_or_else(none);
    latest
}

/// A version in the Pub/Sub form (Ably docs, "Updates, deletes and appends").
pub(super) fn pub_sub(version: &Value) -> Value {
    let action = match version["action"].as_str() {
        Some("message.update") => 1,
        Some("message.delete") => 2,
        _ => 0,
    };
    let data = json!({"text": version["text"], "metadata": version["metadata"]});
    let mut message = json!({
        "name": "chat.message", "serial": version["serial"], "clientId": version["clientId"],
        "timestamp": version["timestamp"], "action": action, "data": data.to_string(),
        "encoding": "json", "extras": {"headers": version["headers"]},
    });
    if let Some(version) = version.get("version") {
        message["version"] = version.clone();
    }
    message
}

pub(super) fn number(query: &BTreeMap<String, String>, name: &str) -> Option<i64> {
    query.get(name)?.parse().ok()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Adds the links to the first page and to the next.
fn link(response: &mut Response, rest: &str, cursor: &str, is_joined: bool) {
    let cursor = encoded(cursor);
    let first = format!("<./messages?{rest}>; rel=\"first\"");
    let next = format!("<./messages?cursor={cursor}&{rest}>; rel=\"next\"");
    let links = if is_joined { vec![format!("{first}, {next}")] } else { vec![first, next] };
    for link in links {
        response.headers_mut().append(header::LINK, link.parse().expect("a link is a header"));
    }
}
