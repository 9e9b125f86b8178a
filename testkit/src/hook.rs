//! Whoever is asked before a message is published: an HTTP server, or Lambda's API with one
//! function, which answers the same whatever it is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::server::Server;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The request's path.
    pub path: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Value,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Whether Lambda says that the function has failed.
    pub is_function_error: bool,
    /// How long it takes.
    pub latency: Duration,
}

struct Shared {
    reply: Mutex<Reply>,
    questions: Mutex<Vec<Question>>,
}

/// A stand-in on a free port of this machine; it ends when it is dropped.
pub struct Hook {
    /// Where it listens.
    pub endpoint: String,
    shared: Arc<Shared>,
    _server: Server,
}

impl Hook {
    /// Starts one that accepts everything, as an HTTP server.
    ///
    /// # Panics
    /// When this machine has no free port.
    pub async fn start() -> Self {
        let reply = Reply {
            status: 200,
            body: r#"{"action":"accept"}"#.into(),
            is_function_error: false,
            latency: Duration::ZERO,
        };
        let shared = Arc::new(Shared { reply: Mutex::new(reply), questions: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = Server::start(router).await;
        Self { endpoint: format!("http://{}", server.address), shared, _server: server }
    }

    /// Answers otherwise from now on.
    pub fn reply(&self, change: impl FnOnce(&mut Reply)) {
        change(&mut lock(&self.shared.reply));
    }

    /// What has been asked, oldest first.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        lock(&self.shared.questions).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding this lock")
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    lock(&shared.questions).push(Question { path: uri.path().to_owned(), headers, body });
    let reply = lock(&shared.reply).clone();
    tokio::time::sleep(reply.latency).await;
    let status = StatusCode::from_u16(reply.status).expect("a status");
    let mut response = (status, reply.body).into_response();
    if reply.is_function_error {
        response.headers_mut().insert("x-amz-function-error", "Unhandled".parse().expect("text"));
    }
    response
}
