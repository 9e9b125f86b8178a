//! Ably's REST APIs, as far as a backfill asks them: a Chat room's history and versions, their Pub/Sub
//! twins, annotations, active channels and metachannels. Built from what Ably's documents say, and from
//! where they contradict each other; it can be slow, refuse, fail, repeat itself and tell a wrong time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Messages on a page at most.
    pub page: usize,
    /// Whether `end` belongs to the window: Ably's pages disagree.
    pub is_end_included: bool,
    /// Before each answer.
    pub latency: Duration,
    /// Every so many requests, one is answered with each of these in turn.
    pub failures: Option<(u64, &'static [u16])>,
    /// Every so many pages, an empty one with a `next` comes first.
    pub empty_pages: Option<u64>,
    /// Whether all links are in one header.
    pub is_link_joined: bool,
    /// Whether `next` leads to the same page for ever.
    pub is_circular: bool,
    /// Whether pages come newest first, whatever was asked for.
    pub is_backwards: bool,
    /// Whether each page begins with the last message of the one before.
    pub repeats: bool,
    /// Whether the Chat API serves versions.
    pub serves_versions: bool,
    /// Serials of versions that lists of versions do not show yet.
    pub unlisted: BTreeSet<String>,
    /// A body and its content type, instead of every answer.
    pub instead: Option<(&'static str, &'static str)>,
    /// What is added to the time of answers, in seconds.
    pub skew: i64,
    /// In how many pieces a body comes, and how long before each.
    pub flow: Option<(usize, Duration)>,
    /// A body of more items than this stops in the middle, and never ends.
    pub chokes_above: Option<usize>,
    /// Whether a cursor is refused with another limit than that of its link.
    pub fixes_limits: bool,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
pub enum Once {
    /// An error of Ably's: status and code.
    Error(u16, u32),
    /// A body and its content type.
    Odd(&'static str, &'static str),
    /// Half of the answer, then the connection ends.
    CutShort,
    /// No answer at all.
    Silence,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            page: 1_000,
            is_end_included: false,
            latency: Duration::ZERO,
            failures: None,
            empty_pages: None,
            is_link_joined: false,
            is_circular: false,
            is_backwards: false,
            repeats: false,
            serves_versions: true,
            unlisted: BTreeSet::new(),
            instead: None,
            skew: 0,
            flow: None,
            chokes_above: None,
            fixes_limits: false,
        }
    }
}

#[derive(Default)]
struct Message {
    /// In the Chat form, oldest first.
    versions: Vec<Value>,
    reactions: Option<Value>,
    annotations: Vec<Value>,
}

impl Message {
    /// The versions that lists of them show.
    fn listed(&self, behaviour: &Behaviour) -> Vec<Value> {
        let is_listed = |version: &&Value| {
            let serial = version["version"]["serial"].as_str().unwrap_or_default();
            !behaviour.unlisted.contains(serial)
        };
        self.versions.iter().filter(is_listed).cloned().collect()
    }
}

#[derive(Default)]
struct Data {
    rooms: BTreeMap<String, BTreeMap<String, Message>>,
    /// Pub/Sub messages of metachannels.
    meta: BTreeMap<String, Vec<Value>>,
    active: BTreeSet<String>,
    /// Rooms that the key may not read.
    forbidden: BTreeSet<String>,
    /// What is refused, by the beginning of its path, with which status and code; or is not.
    refused: BTreeMap<String, Option<(u16, u32)>>,
    /// What becomes of the next requests whose paths begin so.
    next: Vec<(String, Once)>,
    behaviour: Behaviour,
}

#[derive(Default)]
struct Shared {
    data: Mutex<Data>,
    requests: AtomicU64,
    histories: AtomicU64,
    versions: AtomicU64,
    paged: Notify,
    asked: Notify,
}

/// A stand-in on a free port of this machine; it ends when it is dropped.
pub struct Ably {
    /// Where it listens, as `ABLY_REST_URL` takes it.
    pub endpoint: String,
    shared: Arc<Shared>,
    server: AbortHandle,
}

impl Ably {
    /// The one key it takes.
    pub const KEY: &'static str = "aB3dEf.kEy1Id:a-secret-for-tests";

    /// Starts an API that knows nothing.
    ///
    /// # Panics
    /// When this machine has no free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a bound socket serves");
        });
        Self { endpoint: format!("http://{address}"), shared, server: server.abort_handle() }
    }

    /// The environment by which a program finds it, and may ask it.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        [("ABLY_REST_URL", self.endpoint.as_str()), ("ABLY_API_KEY", Self::KEY)]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec()
    }

    /// Adds a version of a message, in the Chat form.
    ///
    /// # Panics
    /// When it has no serial.
    pub fn publish(&self, room: &str, version: Value) {
        let serial = version["serial"].as_str().expect("a serial").to_owned();
        let mut data = lock(&self.shared.data);
        let messages = data.rooms.entry(room.into()).or_default();
        messages.entry(serial).or_default().versions.push(version);
    }

    /// Says what the reactions to a message are.
    pub fn react(&self, room: &str, serial: &str, reactions: Value) {
        self.message(room, serial, |message| message.reactions = Some(reactions));
    }

    /// Adds an annotation to a message.
    pub fn annotate(&self, room: &str, serial: &str, annotation: Value) {
        self.message(room, serial, |message| message.annotations.push(annotation));
    }

    /// Adds a message to a metachannel.
    pub fn say(&self, channel: &str, message: Value) {
        lock(&self.shared.data).meta.entry(channel.into()).or_default().push(message);
    }

    /// Has a channel be active.
    pub fn enter(&self, channel: &str) {
        lock(&self.shared.data).active.insert(channel.into());
    }

    /// Keeps the key from a room.
    pub fn forbid(&self, room: &str) {
        lock(&self.shared.data).forbidden.insert(room.into());
    }

    /// Refuses what has a path that begins so (not encoded) from now on. The longest beginning
    /// decides.
    pub fn refuse(&self, path: &str, status: u16, code: u32) {
        lock(&self.shared.data).refused.insert(path.into(), Some((status, code)));
    }

    /// Allows what has a path that begins so from now on.
    pub fn allow(&self, path: &str) {
        lock(&self.shared.data).refused.insert(path.into(), None);
    }

    /// Decides about the next request whose path begins so (not encoded); given again, about the
    /// one after that.
    pub fn next(&self, path: &str, once: Once) {
        lock(&self.shared.data).next.push((path.into(), once));
    }

    /// Behaves otherwise from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.data).behaviour);
    }

    /// Requests so far: all, for pages of history, for versions.
    #[must_use]
    pub fn requests(&self) -> [u64; 3] {
        let Shared { requests, histories, versions, .. } = &*self.shared;
        [requests, histories, versions].map(|count| count.load(Ordering::SeqCst))
    }

    /// Waits until so many pages of history have been asked for.
    pub async fn wait_for_pages(&self, count: u64) {
        loop {
            let paged = self.shared.paged.notified();
            if self.requests()[1] >= count {
                return;
            }
            paged.await;
        }
    }

    /// Waits until this number of requests has been made.
    pub async fn wait_for_requests(&self, count: u64) {
        loop {
            let asked = self.shared.asked.notified();
            if self.requests()[0] >= count {
                return;
            }
            asked.await;
        }
    }

    fn message(&self, room: &str, serial: &str, change: impl FnOnce(&mut Message)) {
        let mut data = lock(&self.shared.data);
        change(data.rooms.entry(room.into()).or_default().entry(serial.into()).or_default());
    }
}

impl Drop for Ably {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding this lock")
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    shared.asked.notify_waiters();
    let behaviour = lock(&shared.data).behaviour.clone();
    let once = once(&mut lock(&shared.data), &decoded(uri.path()));
    tokio::time::sleep(behaviour.latency).await;
    if matches!(once, Some(Once::Silence)) {
        return std::future::pending().await;
    }
    let mut response = if let Some((body, kind)) = behaviour.instead {
        ([(header::CONTENT_TYPE, kind)], body).into_response()
    } else if let Some(Once::Odd(body, kind)) = once {
        ([(header::CONTENT_TYPE, kind)], body).into_response()
    } else if let Some(Once::Error(status, code)) = once {
        error(status, code, "not this time")
    } else if let Some(status) = failure(&behaviour, number) {
        let code = u32::from(status) * 100;
        error(status, code, "not now")
    } else if !is_admitted(&headers) {
        error(401, 40_101, "invalid credential")
    } else if let Some((status, code)) = refusal(&lock(&shared.data), &decoded(uri.path())) {
        error(status, code, "refused")
    } else {
        let path: Vec<String> = uri.path().split('/').skip(1).map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        route(&shared, &path, &query(&uri), &behaviour)
    };
    #[expect(clippy::disallowed_methods, reason = "the service's clock is this machine's")]
    let now = SystemTime::now();
    let skew = Duration::from_secs(behaviour.skew.unsigned_abs());
    let now = if behaviour.skew < 0 { now - skew } else { now + skew };
    let date = DateTime::from(now).fmt(DateTimeFormat::HttpDate).expect("a time has a date");
    let date = date.parse().expect("a date is a header");
    response.headers_mut().insert(header::DATE, date);
    flow(response, once, &behaviour).await
}

fn once(data: &mut Data, path: &str) -> Option<Once> {
    let place = data.next.iter().position(|(start, _)| path.starts_with(start.as_str()))?;
    Some(data.next.remove(place).1)
}

fn refusal(data: &Data, path: &str) -> Option<(u16, u32)> {
    let fitting = data.refused.iter().filter(|(start, _)| path.starts_with(start.as_str()));
    fitting.max_by_key(|(start, _)| start.len()).and_then(|(_, refusal)| *refusal)
}

/// How a body ends.
#[derive(Clone, Copy)]
enum End {
    Whole,
    Broken,
    Never,
}

/// Has a body come in pieces, or not to its end.
async fn flow(response: Response, once: Option<Once>, behaviour: &Behaviour) -> Response {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("the body is at hand");
    let items = || serde_json::from_slice::<Vec<Value>>(&body).map_or(0, |items| items.len());
    let chokes = behaviour.chokes_above.is_some_and(|most| items() > most);
    let end = match once {
        Some(Once::CutShort) => End::Broken,
        _ if chokes => End::Never,
        _ => End::Whole,
    };
    if behaviour.flow.is_none() && matches!(end, End::Whole) {
        return Response::from_parts(parts, Body::from(body));
    }
    let (count, pause) = behaviour.flow.unwrap_or((2, Duration::ZERO));
    let length = body.len().div_ceil(count).max(1);
    let pieces: Vec<Bytes> = (0..body.len())
        .step_by(length)
        .map(|at| body.slice(at..body.len().min(at + length)))
        .collect();
    let sent = if matches!(end, End::Whole) { pieces.len() } else { pieces.len() / 2 };
    let stream = stream::unfold(0, move |at| {
        let piece = pieces.get(at).filter(|_| at < sent).cloned();
        async move {
            tokio::time::sleep(pause).await;
            match (piece, end) {
                (Some(piece), _) => Some((Ok(piece), at + 1)),
                (None, End::Whole) => None,
                (None, End::Broken) => Some((Err(io::Error::other("cut short")), at)),
                (None, End::Never) => std::future::pending().await,
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(stream))
}

fn failure(behaviour: &Behaviour, number: u64) -> Option<u16> {
    let (period, statuses) = behaviour.failures?;
    // They come in bursts: all of them, one after the other.
    let place = usize::try_from(number % (period + statuses.len() as u64)).ok()?;
    statuses.get(place).copied()
}

fn is_admitted(headers: &HeaderMap) -> bool {
    use base64::Engine;
    let expected = base64::prelude::BASE64_STANDARD.encode(Ably::KEY);
    let found = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let version = headers.get("x-ably-version").and_then(|value| value.to_str().ok());
    found == Some(&format!("Basic {expected}")) && version == Some("4")
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn query(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// Whether a channel can have that name: it neither begins so, nor holds line breaks (Ably docs,
/// "Channels").
fn is_name(room: &str) -> bool {
    !room.starts_with(['[', ':']) && !room.contains('\n')
}

fn route(
    shared: &Shared,
    path: &[&str],
    query: &BTreeMap<String, String>,
    behaviour: &Behaviour,
) -> Response {
    let mut data = lock(&shared.data);
    match path {
        ["chat", "v4", "rooms", room, ..] if !is_name(room) => error(400, 40_010, "invalid name"),
        ["chat", "v4", "rooms", room, ..] if data.forbidden.contains(*room) => {
            error(401, 40_160, "action not permitted")
        }
        ["chat", "v4", "rooms", room, "messages"] => {
            let page = shared.histories.fetch_add(1, Ordering::SeqCst) + 1;
            shared.paged.notify_waiters();
            let room = data.rooms.entry((*room).into()).or_default();
            history(room, query, (behaviour, page), false)
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
            let start = number(query, "start").unwrap_or(0);
            let said = data.meta.get(*channel).map(Vec::as_slice).unwrap_or_default();
            let later = |it: &&Value| it["timestamp"].as_i64().unwrap_or(0) >= start;
            list(&said.iter().filter(later).cloned().collect::<Vec<_>>())
        }
        ["channels"] => {
            let ids: Vec<_> = data.active.iter().map(|id| json!(id)).collect();
            let start =
                number(query, "cursor").and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
            let end = ids.len().min(start + behaviour.page);
            let mut response = list(ids.get(start..end).unwrap_or_default());
            if end < ids.len() {
                let link = format!("<./channels?cursor={end}&limit=1000&by=id>; rel=\"next\"");
                response.headers_mut().append(header::LINK, link.parse().expect("a header"));
            }
            response
        }
        _ => error(404, 40_400, "no such path"),
    }
}

/// A version in the Pub/Sub form (Ably docs, "Updates, deletes and appends").
fn pub_sub(version: &Value) -> Value {
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

fn number(query: &BTreeMap<String, String>, name: &str) -> Option<i64> {
    query.get(name)?.parse().ok()
}

fn history(
    room: &BTreeMap<String, Message>,
    query: &BTreeMap<String, String>,
    (behaviour, number_of_page): (&Behaviour, u64),
    is_pub_sub: bool,
) -> Response {
    let start = number(query, "start").unwrap_or(0);
    let end = number(query, "end").unwrap_or(i64::MAX);
    let limit = number(query, "limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100);
    if limit > 1_000 || query.get("direction").map(String::as_str) != Some("forwards") {
        return error(400, 40_003, "invalid parameter");
    }
    let cursor = query.get("cursor").map_or("", String::as_str);
    let (cursor, made_for) = cursor.split_once('~').unwrap_or((cursor, ""));
    if behaviour.fixes_limits && !cursor.is_empty() && made_for != limit.to_string() {
        return error(400, 40_003, "invalid parameter");
    }
    let is_empty =
        behaviour.empty_pages.is_some_and(|period| number_of_page.is_multiple_of(period));
    let is_after = |serial: &str| match (behaviour.is_backwards, behaviour.repeats) {
        (true, _) => cursor.is_empty() || serial < cursor,
        (false, true) => serial >= cursor,
        (false, false) => serial > cursor,
    };
    let within =
        |time: i64| start <= time && (time < end || behaviour.is_end_included && time == end);
    let from = if behaviour.is_backwards { "" } else { cursor };
    let found = room.range(from.to_owned()..).filter(|(serial, message)| {
        let time = message.versions.last().and_then(|latest| latest["timestamp"].as_i64());
        is_after(serial) && time.is_some_and(within)
    });
    let found: Box<dyn Iterator<Item = _>> =
        if behaviour.is_backwards { Box::new(found.rev()) } else { Box::new(found) };
    let mut found = found.peekable();
    let mut items = Vec::new();
    let mut last = cursor.to_owned();
    while !is_empty && items.len() < limit.min(behaviour.page) && found.peek().is_some() {
        let (serial, message) = found.next().expect("a message was peeked at");
        last.clone_from(serial);
        let mut latest = message.versions.last().expect("a message has a version").clone();
        let none = || json!({"unique": {}, "distinct": {}, "multiple": {}});
        latest["reactions"] = message.reactions.clone().unwrap_or_else(none);
        items.push(if is_pub_sub { pub_sub(&latest) } else { latest });
    }
    let more = found.peek().is_some();
    let cursor = if behaviour.is_circular { cursor } else { &last };
    let mut response = list(&items);
    if more || behaviour.is_circular {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let rest = format!("start={start}&end={end}&limit={limit}&direction=forwards");
        let first = format!("<./messages?{rest}>; rel=\"first\"");
        let made_for = if behaviour.fixes_limits { format!("~{limit}") } else { String::new() };
        let cursor = encode(&format!("{cursor}{made_for}"));
        let next = format!("<./messages?cursor={cursor}&{rest}>; rel=\"next\"");
        let links = match behaviour.is_link_joined {
            true => vec![format!("{first}, {next}")],
            false => vec![first, next],
        };
        for link in links {
            response.headers_mut().append(header::LINK, link.parse().expect("a link is a header"));
        }
    }
    response
}

fn list(items: &[Value]) -> Response {
    let body = serde_json::to_vec(items).expect("values serialise");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn error(status: u16, code: u32, message: &str) -> Response {
    let href = format!("https://help.ably.io/error/{code}");
    let body =
        json!({"error": {"message": message, "code": code, "statusCode": status, "href": href}});
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
