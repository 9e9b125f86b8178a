//! Which path is answered by what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::history::{history, latest, number, pub_sub};
use super::{Behaviour, Data, Shared, lock};

pub(super) fn route(
    shared: &Shared,
    path: &[&str],
    query: &BTreeMap<String, String>,
    behaviour: &Behaviour,
) -> Response {
    let mut data = lock(&shared.data);
    match path {
        ["chat", "v4", "rooms", room, ..] if let Some(refusal) = refusal_of(&data, room) => refusal,
        ["chat", "v4", "rooms", room, "messages"] => {
            let page = shared.histories.fetch_add(1, Ordering::SeqCst) + 1;
            shared.paged.notify_waiters();
            let room = data.rooms.entry((*room).into()).or_default();
            history(room, query, (behaviour, page), false)
        }
        ["chat", "v4", "rooms", room, "messages", serial] => {
            let message = data.rooms.get(*room).and_then(|room| room.get(*serial));
            match message.filter(|_| *serial >= behaviour.forgets_before.as_str()) {
                Some(message) => object(&latest(message)),
                None => error(404, 40_400, "no such message"),
            }
        }
        ["chat", "v4", "rooms", room, "messages", serial, "versions"]
            if behaviour.serves_versions =>
        {
            shared.versions.fetch_add(1, Ordering::SeqCst);
            match data.rooms.get(*room).and_then(|room| room.get(*serial)) {
                Some(message) => list(&message.listed(behaviour)),
                None => error(404, 40_400, "no such message"),
            }
        }
        ["channels", channel, "messages", serial, what] => {
            let room = channel.strip_suffix("::$chat").unwrap_or_default();
            let message = data.rooms.get(room).and_then(|room| room.get(*serial));
            match (message, *what) {
                (Some(message), "versions") => {
                    shared.versions.fetch_add(1, Ordering::SeqCst);
                    list(&message.listed(behaviour).iter().map(pub_sub).collect::<Vec<_>>())
                }
                (Some(message), "annotations") => list(&message.annotations),
                _ => error(404, 40_400, "no such message"),
            }
        }
        ["channels", channel, "messages"] if channel.ends_with("::$chat") => {
            let page = shared.histories.fetch_add(1, Ordering::SeqCst) + 1;
            shared.paged.notify_waiters();
            let room = channel.strip_suffix("::$chat").unwrap_or_default();
            history(data.rooms.entry(room.into()).or_default(), query, (behaviour, page), true)
        }
        ["channels", channel, "messages"] => {
            said(data.meta.get(*channel).map(Vec::as_slice).unwrap_or_default(), query)
        }
        ["channels"] => channels(&data.active, query, behaviour.page),
        _ => error(404, 40_400, "no such path"),
    }
}

/// Whether a room can be written to or read: else, why not.
pub(super) fn refusal_of(data: &Data, room: &str) -> Option<Response> {
    if !is_name(room) {
        return Some(error(400, 40_010, "invalid name"));
    }
    data.forbidden.contains(room).then(|| error(401, 40_160, "action not permitted"))
}

/// Whether a channel can have that name: it neither begins so, nor holds line breaks (Ably docs,
/// "Channels").
fn is_name(room: &str) -> bool {
    !room.starts_with(['[', ':']) && !room.contains('\n')
}

pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

pub(super) fn query(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

pub(super) fn list(items: &[Value]) -> Response {
    let body = serde_json::to_vec(items).expect("values serialise");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub(super) fn object(item: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], item.to_string()).into_response()
}

pub(super) fn error(status: u16, code: u32, message: &str) -> Response {
    failed(status, code, message, None)
}

/// An error that says more, in JSON.
pub(super) fn with_detail(status: u16, code: u32, detail: &str) -> Response {
    failed(status, code, "refused", Some(serde_json::from_str(detail).expect("JSON")))
}

fn failed(status: u16, code: u32, message: &str, detail: Option<Value>) -> Response {
    let href = format!("https://help.ably.io/error/{code}");
    let mut body =
        json!({"error": {"message": message, "code": code, "statusCode": status, "href": href}});
    if let Some(detail) = detail {
        body["error"]["detail"] = detail;
    }
    let status = StatusCode::from_u16(status).expect("a status");
    let code = code.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("x-ably-errorcode", code.as_str()),
        ("x-ably-errormessage", message),
    ];
    (status, headers, body.to_string()).into_response()
}

/// What was said on a metachannel.
fn said(messages: &[Value], query: &BTreeMap<String, String>) -> Response {
    let start = number(query, "start").unwrap_or(0);
    let later = |it: &&Value| it["timestamp"].as_i64().unwrap_or(0) >= start;
    list(&messages.iter().filter(later).cloned().collect::<Vec<_>>())
}

/// A page of the active channels.
fn channels(active: &BTreeSet<String>, query: &BTreeMap<String, String>, page: usize) -> Response {
    let ids: Vec<_> = active.iter().map(|id| json!(id)).collect();
    let start = number(query, "cursor").and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
    let end = ids.len().min(start + page);
    let mut response = list(ids.get(start..end).unwrap_or_default());
    if end < ids.len() {
        let link = format!("<./channels?cursor={end}&limit=1000&by=id>; rel=\"next\"");
        response.headers_mut().append(header::LINK, link.parse().expect("a header"));
    }
    response
}
