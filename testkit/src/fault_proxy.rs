//! A proxy in front of the engine that fails as networks and services do, on command.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::BoxError;
use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    None,
    /// DynamoDB throttles it.
    Throttle,
    /// DynamoDB fails inside.
    Internal,
    /// The connection drops before the request gets there.
    DropBefore,
    /// The request is carried out, and the connection drops before the answer gets back.
    DropAfter,
    /// It is answered only after this many milliseconds.
    Delay(u64),
    /// DynamoDB refuses with this error type.
    Refuse(&'static str),
    /// It is taken, and never answered.
    Hang,
}

type Plan = dyn Fn(u64, &str) -> Fault + Send + Sync;

/// A table that takes a number of writes a second, and throttles the rest.
#[derive(Debug)]
pub struct Capacity {
    rate: f64,
    /// What it would take at once, and as of when.
    tokens: Mutex<(f64, Instant)>,
    admitted: AtomicU64,
}

impl Capacity {
    /// A table that takes `rate` writes a second, and a tenth of that at once.
    #[must_use]
    pub fn new(rate: f64) -> Arc<Self> {
        let tokens = Mutex::new((rate / 10.0, Instant::now()));
        Arc::new(Self { rate, tokens, admitted: AtomicU64::new(0) })
    }

    /// What becomes of a write that comes now.
    ///
    /// # Panics
    /// Never: nobody panics while holding the lock.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let mut tokens = self.tokens.lock().expect("nobody panics while holding this lock");
        let now = Instant::now();
        let come = now.duration_since(tokens.1).as_secs_f64() * self.rate;
        *tokens = ((tokens.0 + come).min(self.rate / 10.0), now);
        if tokens.0 < 1.0 {
            return Fault::Throttle;
        }
        tokens.0 -= 1.0;
        self.admitted.fetch_add(1, Ordering::SeqCst);
        Fault::None
    }

    /// How many writes it has taken.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::SeqCst)
    }
}

/// A proxy on a free port of this machine; it ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    /// Where it listens, as `AWS_ENDPOINT_URL_DYNAMODB` takes it.
    pub endpoint: String,
    requests: Arc<AtomicU64>,
    server: AbortHandle,
}

impl FaultProxy {
    /// Starts a proxy to `endpoint`. `plan` says what becomes of the nth request, from 0.
    ///
    /// # Panics
    /// When this machine has no free port.
    pub async fn start(
        endpoint: &str,
        plan: impl Fn(u64) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self::of(endpoint, Planned::Requests, move |number, _| plan(number)).await
    }

    /// Starts a proxy to `endpoint`. `plan` says what becomes of the nth request, from 0, by the
    /// operation that it asks for: `PutItem` for example.
    ///
    /// # Panics
    /// When this machine has no free port.
    pub async fn start_by_operation(
        endpoint: &str,
        plan: impl Fn(u64, &str) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self::of(endpoint, Planned::Requests, plan).await
    }

    /// Starts a proxy that plans, and counts, writes of rows only: each `PutItem`, and each
    /// statement of a `BatchExecuteStatement`. Others go through. A statement that is throttled,
    /// fails or is refused does so by itself, by its code; one that drops, delays or hangs takes
    /// its request with it.
    ///
    /// # Panics
    /// As [`FaultProxy::start`].
    pub async fn of_rows(
        endpoint: &str,
        plan: impl Fn(u64) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self::of(endpoint, Planned::Rows, move |number, _| plan(number)).await
    }

    async fn of(
        endpoint: &str,
        planned: Planned,
        plan: impl Fn(u64, &str) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let requests = Arc::new(AtomicU64::new(0));
        let proxy = Arc::new(Proxy {
            target: endpoint.parse().expect("an endpoint is a URI"),
            client: Client::builder(TokioExecutor::new()).build_http(),
            requests: Arc::clone(&requests),
            planned,
            plan: Box::new(plan),
        });
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = Arc::clone(&proxy);
                tokio::spawn(async move {
                    let service = service_fn(|request| proxy.answer(request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    // A dropped connection is an error here, and what was asked for.
                    connection.serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        Self { endpoint: format!("http://{address}"), requests, server: server.abort_handle() }
    }

    /// How many requests have come in.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What is planned, and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planned {
    /// Every request.
    Requests,
    /// Every row that is written.
    Rows,
}

struct Proxy {
    target: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    requests: Arc<AtomicU64>,
    planned: Planned,
    plan: Box<Plan>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy to {}", self.target)
    }
}

impl Proxy {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let target = request.headers().get("x-amz-target").and_then(|it| it.to_str().ok());
        let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default();
        match (self.planned, operation) {
            (Planned::Rows, "BatchExecuteStatement") => return self.answer_rows(request).await,
            (Planned::Requests, _) | (_, "PutItem") => {}
            (Planned::Rows, _) => return self.forward(request).await,
        }
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let fault = (self.plan)(number, operation);
        self.fail(request, fault).await
    }

    async fn fail<B>(&self, request: Request<B>, fault: Fault) -> io::Result<Response<Full<Bytes>>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let dropped = || io::Error::from(io::ErrorKind::ConnectionReset);
        match fault {
            Fault::None => self.forward(request).await,
            Fault::Throttle => Ok(error(StatusCode::BAD_REQUEST, "ThrottlingException")),
            Fault::Internal => Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")),
            Fault::Refuse(kind) => Ok(error(StatusCode::BAD_REQUEST, kind)),
            Fault::Hang => std::future::pending().await,
            Fault::DropBefore => Err(dropped()),
            Fault::DropAfter => self.forward(request).await.and_then(|_| Err(dropped())),
            Fault::Delay(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                self.forward(request).await
            }
        }
    }

    /// Plans each statement: those that fail by themselves are taken out, and their errors put
    /// into the answer. `DropAfter` beside others drops the answer for all.
    async fn answer_rows(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let mut body: Value = serde_json::from_slice(&body)?;
        let statements = body["Statements"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let mut whole = Fault::None;
        let (mut errors, mut left) = (Vec::new(), Vec::new());
        for statement in statements {
            let number = self.requests.fetch_add(1, Ordering::SeqCst);
            let fault = (self.plan)(number, "BatchExecuteStatement");
            let code = statement_code(fault);
            if code.is_none() {
                left.push(statement);
            }
            if code.is_none() && fault != Fault::None {
                whole = fault;
            }
            errors.push(code);
        }
        let mut answers = Vec::new();
        if !left.is_empty() {
            body["Statements"] = left.into();
            let body = Bytes::from(body.to_string());
            head.headers.insert(CONTENT_LENGTH, body.len().into());
            let (head, body) =
                self.fail(Request::from_parts(head, Full::new(body)), whole).await?.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            if !head.status.is_success() {
                return Ok(Response::from_parts(head, Full::new(body)));
            }
            let mut answer: Value = serde_json::from_slice(&body)?;
            answers = answer["Responses"].as_array_mut().map(std::mem::take).unwrap_or_default();
        }
        let mut answers = answers.into_iter();
        let all: Vec<_> = errors
            .into_iter()
            .map(|code| match code {
                Some(code) => json!({"Error": {"Code": code, "Message": "no"}}),
                None => answers.next().unwrap_or_default(),
            })
            .collect();
        Ok(Response::new(Full::new(Bytes::from(json!({ "Responses": all }).to_string()))))
    }

    async fn forward<B>(&self, request: Request<B>) -> io::Result<Response<Full<Bytes>>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let mut uri = head.uri.into_parts();
        uri.scheme = self.target.scheme().cloned();
        uri.authority = self.target.authority().cloned();
        head.uri = Uri::from_parts(uri).map_err(io::Error::other)?;
        let request = Request::from_parts(head, Full::new(body));
        let response = self.client.request(request).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}

/// The error of a statement by itself, if that is what the fault is.
fn statement_code(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::Throttle => Some("ThrottlingError"),
        Fault::Internal => Some("InternalServerError"),
        Fault::Refuse("ValidationException") => Some("ValidationError"),
        Fault::Refuse("AccessDeniedException") => Some("AccessDenied"),
        Fault::Refuse(code) => Some(code),
        Fault::None | Fault::DropBefore | Fault::DropAfter | Fault::Delay(_) | Fault::Hang => None,
    }
}

fn error(status: StatusCode, kind: &str) -> Response<Full<Bytes>> {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"no"}}"#);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
