//! Requests that go on to Ably: what is to be published, and whatever else Ably is asked for
//! through this host by SDKs that know one host only.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Response, header};
use tokio::time::{Instant, timeout_at};

use crate::chat::RoomName;
use crate::history::answer::{AnswerLimit, Form, msgpack, refuse};
use crate::history::api::{History, Invocation};
use crate::history::auth;
use crate::history::error::ApiError;
use crate::history::params::Query;
use crate::history::publish::{Call, Operation, Published};
use crate::lambda::deadline::time_to_write;
use crate::time::now;

/// What a request may take where no invocation ends: Ably's ten seconds, and storing.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of a body that are read: more than are forwarded, so that the error is Ably's own.
const MOST_BYTES: usize = 2 << 20;

impl History {
    /// Sends a request on to Ably, if `PUBLISH` is on.
    pub(super) async fn forward(
        &self,
        request: Request,
        room: Option<RoomName>,
        operation: Operation,
    ) -> Response<Body> {
        let Some(publish) = &self.publish else { return refuse(&off(operation)) };
        let (parts, body) = request.into_parts();
        let query = Query::read(parts.uri.query());
        let form = Form::wanted(&parts.headers, query.get("format"));
        let AnswerLimit(most_bytes) =
            parts.extensions.get::<AnswerLimit>().copied().unwrap_or_default();
        let mut call = call(parts.extensions.get::<Invocation>());
        // A hook is asked about somebody, and not by anybody.
        if let (Some(_), Some(room)) = (&publish.hook, &room) {
            match self.admit(&parts, &query, room, auth::Operation::Publish).await {
                Ok(client_id) => call.client_id = client_id,
                Err(error) => return refuse(&error),
            }
        }
        let Ok(Ok(body)) = timeout_at(call.deadline, to_bytes(body, MOST_BYTES)).await else {
            return refuse(&ApiError::new(413, 40_009, "the body is too large, or ended early"));
        };
        let request = Request::from_parts(parts, body);
        let published = publish.forward(request, room.as_ref(), operation, call).await;
        if published.archive.is_none() && form.weight_of(&published.body) > most_bytes {
            return refuse(&ApiError::new(413, 40_009, "Ably's answer is too large: ask for less"));
        }
        respond(published, form)
    }
}

fn off(operation: Operation) -> ApiError {
    match operation {
        Operation::Other => ApiError::not_found("no such path"),
        _ => ApiError::new(405, 40_500, "nothing is published through this server: PUBLISH is off"),
    }
}

fn call(invocation: Option<&Invocation>) -> Call {
    let started = Instant::now();
    match invocation {
        Some(Invocation { request_id, version, deadline }) => Call {
            request_id: request_id.clone(),
            function_version: version.clone(),
            deadline: started + time_to_write(*deadline, now(), 0).min(PATIENCE),
            client_id: None,
        },
        None => Call {
            request_id: String::new(),
            function_version: env!("CARGO_PKG_VERSION").into(),
            deadline: started + PATIENCE,
            client_id: None,
        },
    }
}

/// Ably was asked for JSON. A success goes back in the form that the caller decodes.
fn respond(published: Published, form: Form) -> Response<Body> {
    let Published { status, mut headers, body, .. } = published;
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(is_json);
    let body = match (form, str::from_utf8(&body)) {
        (Form::MsgPack, Ok(json)) if status.is_success() && is_json => {
            headers.insert(header::CONTENT_TYPE, form.content_type());
            Body::from(msgpack(json))
        }
        _ => Body::from(body),
    };
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}

fn is_json(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|kind| kind.contains("json"))
}
