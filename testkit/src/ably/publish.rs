//! Messages sent, updated and deleted, and reactions, as the Chat REST API takes them (`chat.yaml`
//! 4.0.0): the answer to a publish is the whole message.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Data;
use super::route::{error, refusal_of};

/// When the first message is published: ms since the epoch.
const EPOCH: u64 = 1_767_225_600_000;
/// Ably's limit on a message.
const MOST_BYTES: usize = 65_536;

pub(super) fn publish(
    data: &mut Data,
    method: &Method,
    path: &[&str],
    query: &BTreeMap<String, String>,
    (headers, body): (&HeaderMap, &Bytes),
) -> Response {
    let ["chat", "v4", "rooms", room, "messages", rest @ ..] = path else {
        // Whatever else there is echoes what it was sent.
        let body = json!({"method": method.as_str(), "path": path, "query": query});
        return answer(StatusCode::OK, &body);
    };
    if let Some(refusal) = refusal_of(data, room) {
        return refusal;
    }
    data.published_with.push(of_headers(headers));
    let Ok(body) = serde_json::from_slice::<Value>(if body.is_empty() { b"{}" } else { body })
    else {
        return error(400, 40_001, "invalid body");
    };
    match (method.as_str(), rest) {
        ("POST", []) => once(data, room, query, |data| send(data, room, &body)),
        ("PUT", [serial]) => once(data, room, query, |data| {
            change(data, (room, serial), "message.update", &body["message"], &body)
        }),
        ("POST", [serial, "delete"]) => once(data, room, query, |data| {
            let blank = json!({"text": ""});
            change(data, (room, serial), "message.delete", &blank, &body)
        }),
        ("POST" | "DELETE", [serial, "reactions"]) => {
            answer(StatusCode::CREATED, &json!({"serial": serial}))
        }
        _ => error(404, 40_400, "no such path"),
    }
}

/// Why something is not done: status, code and message.
type Refusal = (u16, u32, &'static str);

/// Does what was done before with that key, if it was.
fn once(
    data: &mut Data,
    room: &str,
    query: &BTreeMap<String, String>,
    publish: impl FnOnce(&mut Data) -> Result<Value, Refusal>,
) -> Response {
    let key = query.get("idempotencyKey").map(|key| (room.to_owned(), key.clone()));
    if let Some(known) = key.as_ref().and_then(|key| data.published.get(key)) {
        return answer(StatusCode::CREATED, known);
    }
    match publish(data) {
        Ok(message) => {
            data.published.extend(key.map(|key| (key, message.clone())));
            answer(StatusCode::CREATED, &message)
        }
        Err((status, code, message)) => error(status, code, message),
    }
}

fn send(data: &mut Data, room: &str, body: &Value) -> Result<Value, Refusal> {
    let content = content(body)?;
    let (serial, at) = serial(data);
    let mut message = json!({
        "serial": serial, "clientId": "ana", "action": "message.create", "timestamp": at,
        "version": {"serial": serial, "timestamp": at},
        "reactions": {"unique": {}, "distinct": {}, "multiple": {}},
    });
    put(&mut message, &content);
    let messages = data.rooms.entry(room.into()).or_default();
    messages.entry(serial).or_default().versions.push(message.clone());
    Ok(message)
}

fn change(
    data: &mut Data,
    (room, serial_of_message): (&str, &str),
    action: &str,
    body: &Value,
    operation: &Value,
) -> Result<Value, Refusal> {
    let content = if action == "message.delete" { body.clone() } else { content(body)? };
    let (serial, at) = serial(data);
    let found = data.rooms.get_mut(room).and_then(|room| room.get_mut(serial_of_message));
    let found = found.ok_or((404, 40_400, "no such message"))?;
    let mut message = found.versions.last().cloned().unwrap_or_default();
    message["action"] = json!(action);
    message["version"] = json!({"serial": serial, "timestamp": at, "clientId": "ana"});
    for name in ["description", "metadata"] {
        if let Some(value) = operation.get(name) {
            message["version"][name] = value.clone();
        }
    }
    put(&mut message, &content);
    found.versions.push(message.clone());
    Ok(message)
}

/// What a message says, of a body that says something.
fn content(body: &Value) -> Result<Value, Refusal> {
    let text = body["text"].as_str().filter(|text| !text.is_empty());
    let text = text.ok_or((400, 40_001, "invalid body"))?;
    if text.len() > MOST_BYTES {
        return Err((413, 40_009, "message too large"));
    }
    Ok(body.clone())
}

fn put(message: &mut Value, content: &Value) {
    message["text"] = content["text"].clone();
    for name in ["metadata", "headers"] {
        message[name] = content.get(name).cloned().unwrap_or_else(|| json!({}));
    }
}

fn serial(data: &mut Data) -> (String, u64) {
    data.serials += 1;
    let at = EPOCH + data.serials * 1_000;
    (format!("0{at}-000@abcDEFghi12345678:000"), at)
}

fn of_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
