//! A long room costs no more a page at its end than at its beginning, and no more memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ably_chat_exporter::ingest::Record;
use ably_chat_exporter::store::Settings;
use serde_json::json;
use testkit::{Engine, Fault, FaultProxy};
use tokio::time::Instant;

use crate::common::history::Message;
use crate::common::{EPOCH, ingest};
use crate::server::Server;

const MESSAGES: u32 = 10_000;
const PAGE: u64 = 100;

/// Stores a long room, a hundred messages at a time.
async fn store(engine: &Engine) {
    let sink = ingest(engine, Settings::default());
    let numbers: Vec<u32> = (0..MESSAGES).collect();
    for numbers in numbers.chunks(100) {
        let message = |n: &u32| Message::new(*n, 0, false, 0).delivered("a", 0);
        let mut delivery = message(&numbers[0]);
        let messages: Vec<_> = numbers.iter().map(|n| message(n)["messages"][0].clone()).collect();
        delivery["messages"] = json!(messages);
        let body = delivery.to_string();
        let record =
            Record { id: "d", body: body.as_bytes(), received_at: EPOCH, is_redelivery: false };
        let deadline = Instant::now() + Duration::from_secs(60);
        let reports = sink.store_records(&[record], deadline).await;
        assert_eq!(reports[0].failed, []);
    }
}

#[tokio::test]
async fn the_last_page_of_a_long_room_costs_what_the_first_does() {
    let engine = Engine::start().await;
    store(&engine).await;
    let requests = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&requests);
    let proxy = FaultProxy::start(&engine.endpoint, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Fault::None
    });
    let proxy = proxy.await;
    let settings = [("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.as_str())];
    let server = Server::over(engine, &settings).await;
    let (mut query, mut pages, mut memory) = (format!("limit={PAGE}"), Vec::new(), 0);
    loop {
        let before = requests.load(Ordering::SeqCst);
        let page = server.get(&format!("/chat/v4/rooms/a/messages?{query}")).await;
        pages.push(requests.load(Ordering::SeqCst) - before);
        assert_eq!(page.json().as_array().map(Vec::len), Some(100));
        if pages.len() == 10 {
            memory = server.peak_memory_kb();
        }
        match page.next() {
            Some(next) => query = next,
            None => break,
        }
    }
    assert_eq!(pages.len() as u64, u64::from(MESSAGES) / PAGE);
    assert!(pages.iter().all(|count| *count <= 6), "requests of each page: {pages:?}");
    let grown = server.peak_memory_kb() - memory;
    assert!(grown < 4_096, "{grown} kB more than after ten pages");
}
