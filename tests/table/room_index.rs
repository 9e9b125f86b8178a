//! The index of rooms by day: what it costs, whom it does not touch, and that it can be left out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ably_chat_exporter::chat::RoomName;
use ably_chat_exporter::ingest::{Record, Report, Sink};
use ably_chat_exporter::store::Direction;
use ably_chat_exporter::store::RoomIndex;
use testkit::{Engine, Fault, FaultProxy, Item};
use tokio::time::Instant;

use crate::common::history::Message;
use crate::common::{self, EPOCH, reading};

const DAY: i64 = 86_400_000;

fn noting(engine: &Engine) -> Sink {
    Sink {
        room_index: Some(Arc::new(RoomIndex::default())),
        ..common::ingest(engine, Default::default())
    }
}

async fn arrive(ingest: &Sink, room: &str, message: u32, received_at: i64) -> Report {
    let body = Message::new(message, 0, false, 0).delivered(room, 0).to_string();
    let record = Record { id: "d", body: body.as_bytes(), received_at, is_redelivery: false };
    ingest.store_records(&[record], Instant::now() + Duration::from_secs(30)).await.remove(0)
}

async fn index(engine: &Engine) -> Vec<Item> {
    let is_note = |row: &Item| row["sk"].as_s().is_ok_and(|sk| sk.starts_with("room#"));
    engine.rows().await.into_iter().filter(is_note).collect()
}

fn number(row: &Item, name: &str) -> i64 {
    row[name].as_n().expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn a_room_is_noted_once_a_day_and_instance() {
    let engine = Engine::start().await;
    let (one, other) = (noting(&engine), noting(&engine));
    for (ingest, at) in [(&one, 5), (&one, 9), (&other, 7), (&other, 3), (&one, DAY)] {
        arrive(ingest, "r", 1, EPOCH + at).await;
    }
    let rows = index(&engine).await;
    let keys: Vec<_> = rows
        .iter()
        .map(|row| (row["pk"].as_s().unwrap().as_str(), row["sk"].as_s().unwrap().as_str()))
        .collect();
    assert_eq!(keys, [("rooms#2026-01-01#5", "room#r"), ("rooms#2026-01-02#5", "room#r")]);
    // The second message of an instance writes nothing; of two instances, the later note counts.
    assert_eq!(
        (number(&rows[0], "firstSeen"), number(&rows[0], "lastSeen")),
        (EPOCH + 5, EPOCH + 7)
    );
    assert_eq!(number(&rows[0], "expiresAt"), EPOCH / 1_000 + 400 * 86_400);
    assert_eq!(rows[0]["room"].as_s().unwrap(), "r");
    let found = one.store.rooms_seen(EPOCH + 100).await.expect("the index is read");
    assert_eq!(found, [RoomName("r".into())]);
}

/// A room may be called as a day's partition is, or have a name that no sort key could hold.
#[tokio::test]
async fn no_room_name_can_disturb_the_index() {
    let engine = Engine::start().await;
    let ingest = noting(&engine);
    let names =
        ["rooms#2026-01-01#5", "room#r", "#", &"é".repeat(700), &format!("{}x", "é".repeat(700))];
    for name in names {
        assert_eq!(arrive(&ingest, name, 1, EPOCH).await.stored, 1, "{name}");
    }
    let found = ingest.store.rooms_seen(EPOCH).await.expect("the index is read");
    let found: BTreeSet<_> = found.into_iter().map(|room| room.0).collect();
    assert_eq!(found, names.iter().map(ToString::to_string).collect());
    for name in names {
        let messages = reading::whole_room(&ingest.store, name, Direction::NewestFirst, 10).await;
        assert_eq!(messages.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn what_is_not_stored_is_not_noted() {
    let engine = Engine::start().await;
    let filter = ably_chat_exporter::ingest::RoomFilter::parse("^kept").expect("a pattern");
    let ingest = Sink { room_filter: Some(filter), ..noting(&engine) };
    arrive(&ingest, "left out", 1, EPOCH).await;
    arrive(&ingest, "kept", 1, EPOCH).await;
    let rows = index(&engine).await;
    assert_eq!((rows.len(), rows[0]["room"].as_s().unwrap().as_str()), (1, "kept"));
}

/// A note that fails is no message's failure, and is made up for with the room's next message.
#[tokio::test]
async fn a_note_that_fails_is_made_up_for() {
    let engine = Engine::start().await;
    let refused =
        |number: u64| if number < 3 { Fault::Refuse("AccessDeniedException") } else { Fault::None };
    let proxy = FaultProxy::start(&engine.endpoint, refused).await;
    let (client, settings) = (testkit::client(&proxy.endpoint), Default::default());
    let store = ably_chat_exporter::store::Store::new(client, Engine::TABLE, settings);
    let ingest = Sink { store, ..noting(&engine) };
    // Two rows and a note.
    let report = arrive(&ingest, "r", 1, EPOCH).await;
    assert_eq!((report.failed.len(), proxy.requests()), (1, 3), "{report:?}");
    assert!(report.failed[0].reason.contains("dynamodb:PutItem"), "{report:?}");
    assert_eq!(arrive(&ingest, "r", 1, EPOCH).await.stored, 1);
    assert_eq!(index(&engine).await.len(), 1);
}

/// Notes of one day used to share one partition: an index of that time is still read.
#[tokio::test]
async fn regression_notes_of_a_day_are_spread_over_partitions() {
    let engine = Engine::start().await;
    let ingest = noting(&engine);
    let names: BTreeSet<String> = (0..64).map(|number| format!("room-{number:02}")).collect();
    for (number, name) in (1..).zip(&names) {
        arrive(&ingest, name, number, EPOCH).await;
    }
    let partitions: BTreeSet<_> =
        index(&engine).await.iter().map(|row| row["pk"].as_s().unwrap().clone()).collect();
    assert!((8..=16).contains(&partitions.len()), "{partitions:?}");
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.into());
    for name in ["room-00", "of old"] {
        let put = engine.client().put_item().table_name(Engine::TABLE);
        let put =
            put.item("pk", text("rooms#2026-01-01")).item("sk", text(&format!("room#{name}")));
        put.item("room", text(name)).send().await.expect("a put");
    }
    let found = ingest.store.rooms_seen(EPOCH).await.expect("the index is read");
    let found: Vec<_> = found.into_iter().map(|room| room.0).collect();
    let expected: Vec<_> = std::iter::once("of old".to_owned()).chain(names).collect();
    assert_eq!(found, expected, "each room once");
}
