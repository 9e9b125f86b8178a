//! The API: its parts.

use std::sync::Arc;

use axum::http::request::Parts;

use crate::chat::RoomName;
use crate::history::auth::{Gate, Operation, Request};
use crate::history::error::ApiError;
use crate::history::gaps::Gaps;
use crate::history::params::Query;
use crate::history::publish::Publish;
use crate::history::upstream::Upstream;
use crate::mistake::words;
use crate::store::Store;
use crate::time::now;

/// `HISTORY_SOURCE`: where messages are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The table alone.
    #[default]
    Table,
    /// Ably's history, and the table behind it.
    Merged,
}

words!(Source, "table" => Table, "merged" => Merged);

/// The API, built once and lent to every request.
#[derive(Debug)]
pub struct History {
    /// The table.
    pub store: Store,
    /// Who may read.
    pub gate: Gate,
    /// Where messages are read from.
    pub source: Source,
    /// Ably, asked as the caller.
    pub upstream: Arc<Upstream>,
    /// Where rooms go of which the table lacks something.
    pub gaps: Option<Gaps>,
    /// What publishes (`PUBLISH=on`).
    pub publish: Option<Arc<Publish>>,
}

/// Which invocation of the function a request is, where it is one.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What logs call it.
    pub request_id: String,
    /// The version of the program.
    pub version: String,
    /// When the answer must be there: ms since the epoch.
    pub deadline: u64,
}

impl History {
    /// Who calls, if they may do that in the room.
    pub(super) async fn admit(
        &self,
        parts: &Parts,
        query: &Query,
        room: &RoomName,
        operation: Operation,
    ) -> Result<Option<String>, ApiError> {
        let request = Request {
            headers: &parts.headers,
            query_client_id: query.get("clientId"),
            room,
            operation,
            now_ms: now(),
        };
        Ok(self.gate.admit(Some(&*self.upstream), &request).await?.client_id)
    }
}
