//! One request: refused, failed or answered, whole or in pieces.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;

use super::publish::publish;
use super::route::{decoded, error, query, route, with_detail};
use super::{Ably, Behaviour, Data, Once, Shared, lock};

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
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
    } else if let Some(Once::Detail(status, code, detail)) = once {
        with_detail(status, code, detail)
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
        if method == Method::GET {
            route(&shared, &path, &query(&uri), &behaviour)
        } else {
            publish(&mut lock(&shared.data), &method, &path, &query(&uri), (&headers, &body))
        }
    };
    match once {
        Some(Once::DoneAndError(status, code)) => response = error(status, code, "done, perhaps"),
        Some(Once::DoneAndSilence) => return std::future::pending().await,
        Some(Once::DoneAndLate(pause)) => tokio::time::sleep(pause).await,
        _ => {}
    }
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
