//! What monitoring sees: `/healthz` and `/metrics` (Prometheus text format).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::net::TcpListener;

use crate::ingest::outcome::{Disposition, Outcome};
use crate::store::{Health, Store};
use crate::time::now;

/// The content type of what `/metrics` answers.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a check of `/healthz` may take.
const TIME_TO_CHECK: Duration = Duration::from_secs(5);

/// Counts and states of one consumer. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Figures>);

#[derive(Debug, Default)]
struct Figures {
    registry: Registry,
    connected: Gauge,
    connections: Counter,
    in_flight: Gauge,
    last_delivery: Gauge,
    last_stored: Gauge,
    store_failing: Gauge,
    /// How the store is, is known there.
    store: OnceLock<Store>,
    deliveries: Counter,
    received: Counter,
    stored: Counter,
    superseded: Counter,
    skipped: Counter,
    failed: Counter,
    parked: Counter,
    rejected: Counter,
    requeued: Counter,
}

impl Status {
    /// A consumer that has done nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let mut figures = Figures::default();
        let mut registry = Registry::with_prefix("ably_chat_queue");
        for (name, help, gauge) in [
            ("connected", "1 while every queue is being consumed", &figures.connected),
            ("in_flight", "Deliveries being stored", &figures.in_flight),
            ("last_delivery_seconds", "When the last delivery came", &figures.last_delivery),
            ("last_stored_seconds", "When the table last took a message", &figures.last_stored),
            ("store_failing", "1 while the table takes no messages", &figures.store_failing),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, counter) in [
            ("connections", "Connections made", &figures.connections),
            ("deliveries", "Deliveries taken", &figures.deliveries),
            ("received", "Chat messages in them", &figures.received),
            ("stored", "Messages that wrote a row", &figures.stored),
            ("superseded", "Messages the table held already", &figures.superseded),
            ("skipped", "Messages not for the archive", &figures.skipped),
            ("failed", "Messages not stored", &figures.failed),
            ("parked", "Deliveries sent to the failure queue", &figures.parked),
            ("rejected", "Deliveries left to Ably's dead letters", &figures.rejected),
            ("requeued", "Deliveries given back to come again", &figures.requeued),
        ] {
            registry.register(name, help, counter.clone());
        }
        figures.registry = registry;
        Self(Arc::new(figures))
    }

    /// Shows from now on how this store is.
    pub(super) fn watch(&self, store: &Store) {
        // A status is of one consumer, which has one store.
        self.0.store.get_or_init(|| store.clone());
    }

    pub(super) fn connected(&self) {
        self.0.connected.set(1);
        self.0.connections.inc();
    }

    pub(super) fn disconnected(&self) {
        self.0.connected.set(0);
        self.0.in_flight.set(0);
    }

    pub(super) fn taken(&self, deliveries: usize) {
        self.0.in_flight.set(i64::try_from(deliveries).unwrap_or(i64::MAX));
        self.0.last_delivery.set(now() / 1_000);
        self.0.deliveries.inc_by(deliveries as u64);
    }

    pub(super) fn ingested(&self, outcomes: &[Outcome]) {
        let figures = &self.0;
        for Outcome { disposition, report } in outcomes {
            figures.received.inc_by(report.received);
            figures.stored.inc_by(report.stored);
            figures.superseded.inc_by(report.superseded);
            figures.skipped.inc_by(report.skipped.values().sum());
            figures.failed.inc_by(report.failed.len() as u64);
            figures.parked.inc_by(u64::from(*disposition == Disposition::Parked));
        }
    }

    pub(super) fn told(&self, rejected: u64, requeued: u64) {
        let figures = &self.0;
        figures.in_flight.set(0);
        figures.rejected.inc_by(rejected);
        figures.requeued.inc_by(requeued);
    }

    fn store_health(&self) -> Health {
        self.0.store.get().map(Store::health).unwrap_or_default()
    }

    /// Whoever replaces a consumer that is not connected does not fix a table by that: its failure
    /// is shown, and the status is that of the connection.
    fn health(&self) -> Response {
        let is_connected = self.0.connected.get() == 1;
        let last = self.0.last_delivery.get();
        let store = self.store_health();
        let failing = store.failing();
        let body = json!({
            "connected": is_connected,
            "lastDelivery": (last > 0).then_some(last),
            "lastStored": store.last_written.map(|ms| ms / 1_000),
            "inFlight": self.0.in_flight.get(),
            "store": if failing.is_some() { "failing" } else { "ok" },
            "failingSince": failing.map(|(since, _)| since / 1_000),
            "reason": failing.map(|(_, reason)| reason),
        });
        let status = if is_connected { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }

    fn metrics(&self) -> Response {
        let store = self.store_health();
        self.0.last_stored.set(store.last_written.unwrap_or_default() / 1_000);
        self.0.store_failing.set(store.failing().is_some().into());
        let mut text = String::new();
        match encode(&mut text, &self.0.registry) {
            Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

/// Serves `/healthz` and `/metrics` at `address` until the program ends; the address that it got.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn serve(address: SocketAddr, status: &Status) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let (health, metrics) = (status.clone(), status.clone());
    let router = Router::new()
        .route("/healthz", get(async move || health.health()))
        .route("/metrics", get(async move || metrics.metrics()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Asks a running consumer at `address` for `/healthz`: for containers, which have no `curl`. What
/// it says.
///
/// # Errors
/// When nobody answers, or it is not connected to its queues; with what it said.
pub fn check(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIME_TO_CHECK)?;
    stream.set_read_timeout(Some(TIME_TO_CHECK))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let is_well = answer.split(' ').nth(1) == Some("200");
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    if is_well { Ok(body) } else { Err(io::Error::other(body)) }
}
