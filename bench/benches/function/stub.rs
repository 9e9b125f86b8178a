//! A stand-in for DynamoDB that answers after a fixed time, so that what is measured is the
//! function: it has every row there is, or none. Over HTTP, and over HTTPS with a certificate of
//! its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const STATEMENT: &[u8] = br#""Statement":"#;
const REFUSED: &[u8] =
    br#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}"#;

/// A running stand-in.
pub(crate) struct Stub {
    pub(crate) env: Vec<(String, String)>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    latency_us: AtomicU64,
    requests: AtomicU64,
    rows: AtomicU64,
    /// Whether every row is there already.
    is_full: AtomicBool,
}

impl Stub {
    /// Starts a stand-in that speaks plain HTTP.
    pub(crate) async fn http() -> std::io::Result<Self> {
        let (listener, address) = listen().await?;
        let stub = Self::new(&format!("http://{address}"));
        let state = Arc::clone(&stub.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Ok(stub)
    }

    /// Starts a stand-in that speaks HTTPS; its environment makes the function trust it, by a
    /// certificate that is left in `file`.
    pub(crate) async fn https(file: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()])?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (listener, address) = listen().await?;
        let mut stub = Self::new(&format!("https://localhost:{}", address.port()));
        std::fs::write(file, cert.pem())?;
        stub.env.push(("SSL_CERT_FILE".into(), file.display().to_string()));
        let state = Arc::clone(&stub.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, state).await;
                    }
                });
            }
        });
        Ok(stub)
    }

    fn new(endpoint: &str) -> Self {
        Self { env: testkit::env(endpoint), state: Arc::default() }
    }

    /// How long every request takes from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.state.latency_us.store(us, Ordering::SeqCst);
    }

    /// Whether every row is there already, from now on: no insert succeeds, and no put.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.state.is_full.store(is_full, Ordering::SeqCst);
    }

    /// How many requests have come since this was last asked.
    pub(crate) fn take_requests(&self) -> u64 {
        self.state.requests.swap(0, Ordering::SeqCst)
    }

    /// How many rows they asked to be written: all smaller than a write unit, so that this is what
    /// DynamoDB would bill.
    pub(crate) fn take_rows(&self) -> u64 {
        self.state.rows.swap(0, Ordering::SeqCst)
    }
}

async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve<S>(stream: S, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(async |request: Request<Incoming>| {
        let target = request.headers().get("x-amz-target").map(|it| it.as_bytes().to_vec());
        let body = request.into_body().collect().await?.to_bytes();
        state.requests.fetch_add(1, Ordering::SeqCst);
        let latency = Duration::from_micros(state.latency_us.load(Ordering::SeqCst));
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let (status, body) = state.answer(&target.unwrap_or_default(), &body);
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let json = hyper::header::HeaderValue::from_static("application/x-amz-json-1.0");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
        Ok::<_, hyper::Error>(response)
    });
    // A function that ends drops its connections.
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

impl State {
    fn answer(&self, target: &[u8], body: &[u8]) -> (StatusCode, Bytes) {
        let is_full = self.is_full.load(Ordering::SeqCst);
        if target.ends_with(b".BatchExecuteStatement") {
            // A quote within a value is escaped: this is none of people's.
            let statements = body.windows(STATEMENT.len()).filter(|it| *it == STATEMENT).count();
            self.rows.fetch_add(statements as u64, Ordering::SeqCst);
            let one = match is_full {
                true => r#"{"Error":{"Code":"DuplicateItem","Message":"Duplicate primary key"}}"#,
                false => r#"{"TableName":"chat"}"#,
            };
            let all = vec![one; statements].join(",");
            return (StatusCode::OK, format!(r#"{{"Responses":[{all}]}}"#).into());
        }
        if !target.ends_with(b".PutItem") {
            return (StatusCode::OK, Bytes::from_static(b"{}"));
        }
        self.rows.fetch_add(1, Ordering::SeqCst);
        match is_full {
            true => (StatusCode::BAD_REQUEST, Bytes::from_static(REFUSED)),
            false => (StatusCode::OK, Bytes::from_static(b"{}")),
        }
    }
}
