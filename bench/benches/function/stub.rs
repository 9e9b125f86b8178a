//! A stand-in for DynamoDB that answers every request alike after a fixed time, so that what is
//! measured is the function. Over HTTP, and over HTTPS with a certificate of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A running stand-in.
pub(crate) struct Stub {
    pub(crate) env: Vec<(String, String)>,
    requests: Arc<AtomicU64>,
    latency_us: Arc<AtomicU64>,
}

impl Stub {
    /// Starts a stand-in that speaks plain HTTP.
    pub(crate) async fn http() -> std::io::Result<Self> {
        let (listener, address) = listen().await?;
        let stub = Self::new(&format!("http://{address}"));
        let (requests, latency) = (Arc::clone(&stub.requests), Arc::clone(&stub.latency_us));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                tokio::spawn(serve(stream, Arc::clone(&requests), Arc::clone(&latency)));
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
        let (requests, latency) = (Arc::clone(&stub.requests), Arc::clone(&stub.latency_us));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
                let latency = Arc::clone(&latency);
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, requests, latency).await;
                    }
                });
            }
        });
        Ok(stub)
    }

    fn new(endpoint: &str) -> Self {
        Self { env: testkit::env(endpoint), requests: Arc::default(), latency_us: Arc::default() }
    }

    /// How long every request takes from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.store(us, Ordering::SeqCst);
    }

    /// How many requests have come since this was last asked.
    pub(crate) fn take_requests(&self) -> u64 {
        self.requests.swap(0, Ordering::SeqCst)
    }
}

async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve<S>(stream: S, requests: Arc<AtomicU64>, latency_us: Arc<AtomicU64>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(async |request: Request<Incoming>| {
        request.into_body().collect().await?;
        requests.fetch_add(1, Ordering::SeqCst);
        let latency = Duration::from_micros(latency_us.load(Ordering::SeqCst));
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
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
