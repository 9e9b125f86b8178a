//! Paths, methods and headers: from a request to what answers it. A path is taken apart before it
//! is decoded, so that a room's name may hold anything (Chat spec CHA-RST6).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{HeaderName, Method, Response, header};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::time::{Instant, timeout};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::chat::{RoomName, Serial};
use crate::history::answer::{AnswerLimit, ERROR_CODE, ERROR_MESSAGE, Form, Success, refuse};
use crate::history::api::History;
use crate::history::auth;
use crate::history::error::ApiError;
use crate::history::params::{MAX_SERIAL, Query};
use crate::history::publish::{ARCHIVE, Operation};
use crate::history::read::{Ask, REACTIONS_OF_NOW};
use crate::time::now;

/// Ably's SDKs wait ten seconds for an answer (ably-js `defaults.ts`, `httpRequestTimeout`).
const PATIENCE: Duration = Duration::from_secs(9);
/// A room's name has at most as many bytes as a partition key.
const MAX_ROOM: usize = 2_048;
/// How long a browser may remember what it may send.
const PREFLIGHT_AGE: Duration = Duration::from_secs(7_200);

/// All paths of the API. It must be at the root of a host: Ably's SDKs add no prefix.
pub fn router(history: Arc<History>) -> Router {
    Router::new()
        .route("/chat/v4/rooms/{room}/messages", get(messages).post(send))
        .route("/chat/v4/rooms/{room}/messages/{serial}", get(message).put(update))
        .route("/chat/v4/rooms/{room}/messages/{serial}/delete", post(delete))
        .route("/chat/v4/rooms/{room}/messages/{serial}/reactions", post(react).delete(react))
        .route("/chat/v4/rooms/{room}/messages/{serial}/versions", get(versions))
        .route("/chat/v4/rooms/{room}/messages/{serial}/client-reactions", get(client_reactions))
        .route("/time", get(time))
        .fallback(other)
        .method_not_allowed_fallback(wrong_method)
        .with_state(history)
        .layer(middleware::from_fn(log))
        .layer(cors())
}

type Shared = State<Arc<History>>;
type Names<T> = Result<Path<T>, PathRejection>;
/// A room's name, and a serial.
type Two = (String, String);

async fn messages(
    State(history): Shared,
    names: Names<String>,
    request: Request,
) -> Response<Body> {
    let names = names.map(|Path(room)| Path((room, String::new())));
    answer(&history, names, request, async |ask, _| history.messages(&ask).await).await
}

async fn message(State(history): Shared, names: Names<Two>, request: Request) -> Response<Body> {
    let read = async |ask: Ask<'_>, serial| history.message(&ask, &serial).await;
    answer(&history, names, request, read).await
}

async fn versions(State(history): Shared, names: Names<Two>, request: Request) -> Response<Body> {
    let read = async |ask: Ask<'_>, serial| history.versions(&ask, &serial).await;
    answer(&history, names, request, read).await
}

async fn client_reactions(
    State(history): Shared,
    names: Names<Two>,
    request: Request,
) -> Response<Body> {
    let read = async |ask: Ask<'_>, serial| history.client_reactions(&ask, &serial).await;
    answer(&history, names, request, read).await
}

/// The time, for whoever asks: SDKs renew their tokens by it (features spec RSC16).
async fn time(request: Request) -> Response<Body> {
    let query = Query::read(request.uri().query());
    let form = Form::wanted(request.headers(), query.get("format"));
    Success::of(&[now()]).respond(form, request.headers())
}

async fn send(State(history): Shared, names: Names<String>, request: Request) -> Response<Body> {
    let names = names.map(|Path(room)| Path((room, String::new())));
    forward(&history, names, request, Operation::Send).await
}

async fn update(State(history): Shared, names: Names<Two>, request: Request) -> Response<Body> {
    forward(&history, names, request, Operation::Update).await
}

async fn delete(State(history): Shared, names: Names<Two>, request: Request) -> Response<Body> {
    forward(&history, names, request, Operation::Delete).await
}

async fn react(State(history): Shared, names: Names<Two>, request: Request) -> Response<Body> {
    forward(&history, names, request, Operation::Reaction).await
}

/// What is none of ours goes to Ably: the SDKs for Kotlin and Swift know one host for everything.
async fn other(State(history): Shared, request: Request) -> Response<Body> {
    history.forward(request, None, Operation::Other).await
}

async fn wrong_method() -> Response<Body> {
    refuse(&ApiError::new(405, 40_500, "the path has no such method"))
}

async fn forward(
    history: &History,
    names: Names<Two>,
    request: Request,
    operation: Operation,
) -> Response<Body> {
    match checked(names) {
        Ok((room, _)) => history.forward(request, Some(room), operation).await,
        Err(error) => refuse(&error),
    }
}

/// Reads for whoever may.
async fn answer(
    history: &History,
    names: Names<Two>,
    request: Request,
    read: impl AsyncFnOnce(Ask<'_>, Serial) -> Result<Success, ApiError>,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let query = Query::read(parts.uri.query());
    let form = Form::wanted(&parts.headers, query.get("format"));
    let answered = async {
        let (room, serial) = checked(names)?;
        let client_id = history.admit(&parts, &query, &room, auth::Operation::History).await?;
        let limit = parts.extensions.get::<AnswerLimit>().copied().unwrap_or_default();
        let ask = Ask { room, query, headers: &parts.headers, form, limit, client_id };
        read(ask, serial).await
    };
    let late = || ApiError::unavailable("the archive did not answer in time");
    match timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err(late())) {
        Ok(success) => success.respond(form, &parts.headers),
        Err(error) => refuse(&error),
    }
}

fn checked(names: Names<Two>) -> Result<(RoomName, Serial), ApiError> {
    let bad_name = |what| ApiError::new(400, 40_010, what);
    let Path((room, serial)) = names.map_err(|_| bad_name("the room's name is not UTF-8"))?;
    if room.is_empty() {
        return Err(ApiError::not_found("the path names no room"));
    }
    if room.len() > MAX_ROOM {
        return Err(bad_name("a room's name has 2048 bytes at most"));
    }
    if serial.len() > MAX_SERIAL {
        return Err(ApiError::not_found("no such message is archived"));
    }
    Ok((RoomName(room), Serial(serial)))
}

/// Browsers send credentials with every request of Ably's SDK, and want the origin named, and every
/// header by its name (ably-js `xhrrequest.ts`).
fn cors() -> CorsLayer {
    let header = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            header("ably-agent"),
            header("x-ably-clientid"),
            header("x-ably-version"),
        ])
        .expose_headers([
            header::LINK,
            header::ETAG,
            ERROR_CODE,
            ERROR_MESSAGE,
            ARCHIVE,
            REACTIONS_OF_NOW,
        ])
        .max_age(PREFLIGHT_AGE)
}

/// One line for each request: no query, which holds what was asked for, and no credentials.
async fn log(request: Request, next: Next) -> Response<Body> {
    let started = Instant::now();
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let response = next.run(request).await.into_response();
    let code = response.headers().get(ERROR_CODE).and_then(|code| code.to_str().ok());
    let ms = started.elapsed().as_secs_f64() * 1_000.0;
    tracing::info!(
        method = method.as_str(),
        route,
        status = response.status().as_u16(),
        code,
        durationMs = (ms * 10.0).round() / 10.0,
        "request answered"
    );
    response
}
