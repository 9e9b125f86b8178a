//! Whether a request may go to Ably, and with which body.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderValue, Method, Request, header};

use crate::chat::RoomName;
use crate::history::error::ApiError;
use crate::history::publish::body::Parsed;
use crate::history::publish::caller;
use crate::history::publish::published::{Published, UNKNOWN};
use crate::history::publish::publisher::Publish;
use crate::history::publish::request::{Call, Forward, Operation};
use crate::history::publish::target;
use crate::history::publish::verdict::Verdict;
use crate::logs::short;

/// Bytes of a body that are forwarded. Ably takes messages of 64 KiB, of 256 KiB with larger plans
/// (Ably docs, "Limits"), and JSON may write each of their bytes in several.
const MOST_BYTES: usize = 1_024 * 1_024;

impl Publish {
    /// Publishes, or hands on what else Ably is asked for. What was sent to Ably is stored even if
    /// the caller goes away meanwhile.
    pub async fn forward(
        self: &Arc<Self>,
        request: Request<Bytes>,
        room: Option<&RoomName>,
        operation: Operation,
        call: Call,
    ) -> Published {
        match self.prepared(request, room, operation, call).await {
            Err(error) => Published::refused(&error),
            Ok(forward) if operation.is_stored() => {
                let publish = Arc::clone(self);
                let task = tokio::spawn(async move { publish.run(forward).await });
                task.await.unwrap_or_else(|_| Published::refused(&ApiError::unavailable(UNKNOWN)))
            }
            Ok(forward) => self.run(forward).await,
        }
    }

    /// What goes to Ably.
    async fn prepared(
        &self,
        request: Request<Bytes>,
        room: Option<&RoomName>,
        operation: Operation,
        call: Call,
    ) -> Result<Forward, ApiError> {
        let target = target::of(request.uri())?;
        if request.body().len() > MOST_BYTES {
            return Err(ApiError::new(413, 40_009, "the body has more than 1 MiB"));
        }
        let app = caller::app(request.headers());
        match operation {
            Operation::Other => self.check_other(app.as_deref(), &request)?,
            _ => self.check_app(app.as_deref(), &request)?,
        }
        if operation.is_stored() && room.is_none_or(|room| room.0.is_empty()) {
            return Err(ApiError::new(400, 40_010, "no room is named"));
        }
        let mut forward = Forward { request, target, app, room: room.cloned(), operation, call };
        if let Some(room) = room {
            self.check_content(&mut forward, room).await?;
        }
        Ok(forward)
    }

    /// Whether what is none of ours may go on: to read, and to get a token. Whatever else is
    /// published at Ably would pass by rules, hook and table.
    fn check_other(&self, app: Option<&str>, request: &Request<Bytes>) -> Result<(), ApiError> {
        let names = request.uri().path().split('/').collect::<Vec<_>>();
        match (request.method(), &names[..]) {
            (&Method::GET, _) => self.check_app(app, request),
            (&Method::POST, ["", "keys", key, "requestToken"]) => {
                self.check_app(caller::app_of(key).as_deref(), request)
            }
            _ => Err(ApiError::not_found("no such path, or no such method there")),
        }
    }

    /// Whether the credentials are of an app whose messages are kept here.
    fn check_app(&self, app: Option<&str>, request: &Request<Bytes>) -> Result<(), ApiError> {
        if caller::has_credentials(request.uri()) {
            return Err(ApiError::refused("credentials belong in the header Authorization"));
        }
        match app {
            Some(app) if self.apps.contains(app) => Ok(()),
            Some(_) => Err(ApiError::refused("the credentials are of another Ably app")),
            None => Err(ApiError::refused(
                "no credentials that say which Ably app they are of: send a key, a JWT that a key \
                 signs, or an Ably token",
            )),
        }
    }

    /// Asks rules and hook; the body may become another one.
    async fn check_content(&self, forward: &mut Forward, room: &RoomName) -> Result<(), ApiError> {
        if forward.operation == Operation::Other || (self.rules.is_none() && self.hook.is_none()) {
            return Ok(());
        }
        if let Some(rules) = &self.rules {
            rules.check_room(room)?;
        }
        let (headers, body) = (forward.request.headers(), forward.request.body());
        let Some(parsed) = Parsed::read(headers, body, forward.operation)? else { return Ok(()) };
        if let Some(rules) = &self.rules {
            rules.check(parsed.content())?;
        }
        let Some(hook) = &self.hook else { return Ok(()) };
        let app = forward.app.as_deref();
        let client_id = forward.call.client_id.as_deref();
        match hook.ask(room, app, client_id, parsed.content()).await {
            Ok(Verdict::Accept) => {}
            Ok(Verdict::Replace(content)) => {
                *forward.request.body_mut() = parsed.with(content);
                let json = HeaderValue::from_static("application/json");
                forward.request.headers_mut().insert(header::CONTENT_TYPE, json);
            }
            Ok(Verdict::Reject(detail)) => return Err(Verdict::rejection(detail)),
            Err(reason) => {
                let request_id = &forward.call.request_id;
                let room = short(&room.0);
                tracing::error!(requestId = request_id, room, reason, "PUBLISH_HOOK failed");
                return Err(ApiError::unavailable(
                    "the hook of this server failed; nothing was published",
                ));
            }
        }
        Ok(())
    }
}
