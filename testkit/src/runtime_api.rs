//! The Lambda Runtime API ("Using the Lambda runtime API for custom runtimes"): hands invocations
//! to whatever function polls it, and keeps those in flight, so that they can be handed out again
//! when the function dies.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use crate::server::Server;

/// What a function answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The response's JSON.
    Response(Value),
    /// The error's JSON: `errorType` and `errorMessage`.
    Error(Value),
}

struct Invocation {
    id: String,
    body: Bytes,
    timeout: Duration,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<VecDeque<Invocation>>,
    in_flight: Mutex<HashMap<String, Invocation>>,
    /// Counts deaths: a poll from before the last one is a dead function's.
    deaths: AtomicU64,
    polls: AtomicU64,
    polled: Notify,
    arrived: Notify,
    last_response: Mutex<Bytes>,
}

/// A Runtime API on a free port of this machine; it ends when it is dropped.
pub struct RuntimeApi {
    /// Where it listens, as `AWS_LAMBDA_RUNTIME_API` takes it.
    pub address: String,
    shared: Arc<Shared>,
    sent: AtomicU64,
    _server: Server,
}

impl RuntimeApi {
    /// Starts an API with nothing to hand out.
    ///
    /// # Panics
    /// When this machine has no free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let server = Server::start(router).await;
        let address = server.address.to_string();
        Self { address, shared, sent: AtomicU64::new(0), _server: server }
    }

    /// Queues an invocation that must be over within `timeout`, and waits for its answer.
    pub fn invoke<B: Into<Bytes>>(
        &self,
        body: B,
        timeout: Duration,
    ) -> impl Future<Output = Answer> + Send + use<B> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let id = format!("request-{number}");
        lock(&self.shared.waiting).push_back(Invocation {
            id,
            body: body.into(),
            timeout,
            answer: sender,
        });
        self.shared.arrived.notify_one();
        async move { receiver.await.expect("the Runtime API is running") }
    }

    /// Queues again what was handed out and not answered, as Lambda does when a function dies.
    pub fn redeliver(&self) {
        self.shared.deaths.fetch_add(1, Ordering::SeqCst);
        let lost = std::mem::take(&mut *lock(&self.shared.in_flight));
        lock(&self.shared.waiting).extend(lost.into_values());
        self.shared.arrived.notify_waiters();
        self.shared.arrived.notify_one();
    }

    /// The last response, byte for byte.
    #[must_use]
    pub fn last_response(&self) -> Bytes {
        lock(&self.shared.last_response).clone()
    }

    /// How often a function has asked for an invocation.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.shared.polls.load(Ordering::SeqCst)
    }

    /// Waits until a function has asked at least `count` times.
    pub async fn wait_for_poll(&self, count: u64) {
        loop {
            let polled = self.shared.polled.notified();
            if self.polls() >= count {
                return;
            }
            polled.await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding this lock")
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.polls.fetch_add(1, Ordering::SeqCst);
    shared.polled.notify_waiters();
    let deaths = shared.deaths.load(Ordering::SeqCst);
    let invocation = loop {
        let arrived = shared.arrived.notified();
        if shared.deaths.load(Ordering::SeqCst) != deaths {
            return StatusCode::GONE.into_response();
        }
        if let Some(invocation) = lock(&shared.waiting).pop_front() {
            break invocation;
        }
        arrived.await;
    };
    #[expect(clippy::disallowed_methods, reason = "Lambda's clock is this machine's")]
    let deadline = SystemTime::now() + invocation.timeout;
    let since_epoch = deadline.duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id.clone()),
        ("lambda-runtime-deadline-ms", since_epoch.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:::function:exporter".into()),
        (header::CONTENT_TYPE.as_str(), "application/json".into()),
    ];
    let body = invocation.body.clone();
    lock(&shared.in_flight).insert(invocation.id.clone(), invocation);
    (headers, body).into_response()
}

async fn response(state: State<Arc<Shared>>, id: Path<String>, body: Bytes) -> StatusCode {
    *lock(&state.last_response) = body.clone();
    settle(&state, &id, Answer::Response(json(&body)))
}

async fn error(state: State<Arc<Shared>>, id: Path<String>, body: Bytes) -> StatusCode {
    settle(&state, &id, Answer::Error(json(&body)))
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|error| Value::from(format!("not JSON: {error}")))
}

fn settle(shared: &Shared, id: &str, answer: Answer) -> StatusCode {
    match lock(&shared.in_flight).remove(id) {
        // Whoever asked may have stopped waiting; that is theirs to do.
        Some(invocation) => match invocation.answer.send(answer) {
            Ok(()) | Err(_) => StatusCode::ACCEPTED,
        },
        None => StatusCode::BAD_REQUEST,
    }
}
