//! Payloads of one message, through an ingest into a table of their own and back.

use ably_chat_exporter::chat::{RoomName, Serial};
use ably_chat_exporter::ingest::Report;
use ably_chat_exporter::store::{Settings, Store, StoredMessage};
use serde_json::Value;
use testkit::Engine;

use crate::common::{self, send};

/// A payload of one message in room `r` with serial `1`, from the text of its further members.
pub(crate) fn payload(members: &str) -> String {
    format!(
        r#"{{"channel":"r::$chat","messages":[{{"name":"chat.message","serial":"1",{members}}}]}}"#
    )
}

/// Ingests one message, given as the text of its further members.
pub(crate) async fn store(members: &str) -> (Engine, Store, Report) {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let report = send(&ingest, "d", payload(members).as_bytes()).await;
    (engine, ingest.store, report)
}

pub(crate) async fn read(store: &Store, serial: &str) -> StoredMessage {
    let found = store.message(&RoomName("r".into()), &Serial(serial.into())).await;
    found.expect("a read").expect("a message")
}

/// Members of an event that is a summary of reactions.
pub(crate) fn summary(summary: &Value) -> String {
    format!(r#""action":4,"annotations":{{"summary":{summary}}}"#)
}
