//! Asks Ably, and sees to what it published.

use std::time::Duration;

use tokio::time::Instant;

use crate::history::error::ApiError;
use crate::history::publish::doubt;
use crate::history::publish::published::{Archive, NO_TIME, NOT_SENT, Published, UNKNOWN};
use crate::history::publish::publisher::Publish;
use crate::history::publish::request::Forward;
use crate::history::upstream::{Answer, Unreached};
use crate::logs::short;

/// What Ably may take at most: its SDKs, which wait for this answer, give up after that (features
/// spec TO3l4).
const PATIENCE: Duration = Duration::from_secs(10);
/// Kept back from a call's time, for storing and parking.
const TIME_TO_STORE: Duration = Duration::from_secs(1);

impl Publish {
    /// Sends a request, and stores what Ably published by it.
    pub(super) async fn run(&self, forward: Forward) -> Published {
        let left = forward.call.deadline.saturating_duration_since(Instant::now());
        let patience = left.saturating_sub(TIME_TO_STORE).min(PATIENCE);
        if patience.is_zero() {
            return Published::refused(&ApiError::unavailable(NO_TIME));
        }
        let request = &forward.request;
        let (method, headers, body) = (request.method(), request.headers(), request.body());
        let sent = self.upstream.send(method, &forward.target, headers, body.clone(), patience);
        match sent.await {
            Ok(answer) => self.answered(&forward, answer).await,
            Err(unreached) => {
                self.unreached(&forward, &unreached).await;
                Published::refused(&ApiError::unavailable(match unreached {
                    Unreached::NotSent(_) => NOT_SENT,
                    Unreached::Unknown(_) | Unreached::TooLarge => UNKNOWN,
                }))
            }
        }
    }

    async fn answered(&self, forward: &Forward, answer: Answer) -> Published {
        let archive = match &forward.room {
            Some(room) if forward.operation.is_stored() && answer.status.is_success() => {
                Some(self.keep(forward, room, &answer.body).await)
            }
            // It may have published all the same.
            Some(_) if answer.status.is_server_error() => {
                let reason = format!("status {}", answer.status.as_u16());
                self.doubted(forward, &reason).await;
                None
            }
            _ => None,
        };
        Published::answered(answer, archive)
    }

    async fn unreached(&self, forward: &Forward, unreached: &Unreached) {
        match unreached {
            Unreached::Unknown(_) | Unreached::TooLarge => {
                self.doubted(forward, &unreached.to_string()).await
            }
            Unreached::NotSent(_) => {
                let request_id = &forward.call.request_id;
                let room = forward.room.as_ref().map_or("", |room| short(&room.0));
                let reason = unreached.to_string();
                tracing::warn!(requestId = request_id, room, reason, "Ably was not reached");
            }
        }
    }

    /// Has the room looked at, if a message may be there that is not stored.
    async fn doubted(&self, forward: &Forward, reason: &str) {
        let then = self.look_later(forward, forward.call.deadline).await;
        let request_id = &forward.call.request_id;
        let room = forward.room.as_ref().map_or("", |room| short(&room.0));
        tracing::warn!(requestId = request_id, room, reason, then, "Ably gave no clear answer");
    }

    /// Says that a published message is not stored, and has its room looked at.
    pub(super) async fn left(&self, forward: &Forward, serial: &str, reason: &str) -> Archive {
        let then = self.look_later(forward, forward.call.deadline).await;
        let request_id = &forward.call.request_id;
        let (room, serial) =
            (forward.room.as_ref().map_or("", |room| short(&room.0)), short(serial));
        tracing::error!(
            requestId = request_id,
            room,
            serial,
            reason,
            then,
            "published, and not stored"
        );
        Archive::NotStored
    }

    async fn look_later(&self, forward: &Forward, deadline: Instant) -> &'static str {
        let (Some(room), Some(reconcile)) = (&forward.room, &self.reconcile) else {
            return doubt::LEFT;
        };
        if !forward.operation.is_stored() || !self.ingest.sink.keeps(room) {
            return doubt::LEFT;
        }
        let uri = forward.request.uri();
        reconcile.ask(&self.ingest.sink.store, room, uri, forward.operation, deadline).await
    }
}
