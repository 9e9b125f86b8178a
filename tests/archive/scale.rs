//! Everything at once: a hundred thousand messages, live deliveries of nine tenths of them, in any
//! order, while the backfill runs, dies five times and is started again.

use std::collections::BTreeMap;
use std::time::Duration;

use ably_chat_exporter::ingest::{Record, Sink};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use testkit::{Ably, Engine};
use tokio::time::Instant;

use crate::common::history::{Message, check_room};
use crate::common::{EPOCH, ingest};
use crate::program::{end, start, store};

const ROOMS: u32 = 500;
const MESSAGES: u32 = 200;

type Rooms = BTreeMap<String, Vec<Message>>;

fn rooms() -> Rooms {
    let room = |number: u32| {
        let message = |message: u32| {
            let updates = if (message + number).is_multiple_of(40) { 2 } else { 0 };
            let reactions = if message.is_multiple_of(25) { u64::from(message % 3 + 1) } else { 0 };
            Message::new(message, updates, (message + number).is_multiple_of(61), reactions)
        };
        (format!("room {number}"), (1..=MESSAGES).map(message).collect())
    };
    (0..ROOMS).map(room).collect()
}

/// Nine of ten deliveries, in an order that has nothing to do with that of the messages.
fn deliveries(rooms: &Rooms) -> Vec<Value> {
    let mut bodies: Vec<Value> = Vec::new();
    for (room, messages) in rooms {
        for message in messages {
            bodies.extend((0..message.versions.len()).map(|it| message.delivered(room, it)));
            if message.reactions > 0 {
                bodies.push(message.delivered_reactions(room, message.reactions));
            }
        }
    }
    fastrand::Rng::with_seed(7).shuffle(&mut bodies);
    bodies.truncate(bodies.len() * 9 / 10);
    bodies
}

async fn deliver(ingest: Sink, bodies: Vec<Value>) {
    let deadline = Instant::now() + Duration::from_secs(1_200);
    for bodies in bodies.chunks(100) {
        let bodies: Vec<Vec<u8>> = bodies.iter().map(|it| it.to_string().into_bytes()).collect();
        let record = |body| Record { id: "live", body, received_at: EPOCH, is_redelivery: false };
        let records: Vec<_> = bodies.iter().map(|body| record(body.as_slice())).collect();
        let reports = ingest.store_records(&records, deadline).await;
        assert!(reports.iter().all(|report| report.failed.is_empty()));
    }
}

/// Removes the row of a version, and alters the row of another message.
async fn tamper(
    engine: &Engine,
    (room, removed): (&str, &Message),
    (other, altered): (&str, &Message),
) {
    let key = |room: &str, sk: String| {
        [
            ("pk".to_owned(), AttributeValue::S(room.into())),
            ("sk".to_owned(), AttributeValue::S(sk)),
        ]
    };
    let client = engine.client();
    let sk = format!("version#{0}#{0}", removed.serial);
    let delete = client.delete_item().table_name(Engine::TABLE);
    delete.set_key(Some(key(room, sk).into())).send().await.expect("a removal");
    let update = client.update_item().table_name(Engine::TABLE);
    update
        .set_key(Some(key(other, format!("message#{}", altered.serial)).into()))
        .update_expression("SET clientId = :nobody")
        .expression_attribute_values(":nobody", AttributeValue::S("nobody".into()))
        .send()
        .await
        .expect("an alteration");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_messages_with_kills_and_live_traffic() {
    let (engine, ably, rooms) = (Engine::start().await, Ably::start().await, rooms());
    for (room, messages) in &rooms {
        messages.iter().for_each(|message| message.publish(&ably, room));
    }
    let live = tokio::spawn(deliver(ingest(&engine, Default::default()), deliveries(&rooms)));
    let file = std::env::temp_dir().join(format!("ably-chat-many-rooms-{}", std::process::id()));
    let names: Vec<&str> = rooms.keys().map(String::as_str).collect();
    std::fs::write(&file, names.join("\n")).expect("a file");
    let path = file.to_str().expect("a path");
    let run =
        ["backfill", "--execute", "--pace", "10000", "--rooms-file", path, "--until", "2026-06-01"];
    for kill in 1..=5 {
        let (mut child, before) = (start(&run, &engine, &ably, &[]), ably.requests()[1]);
        ably.wait_for_pages(before + 20 * kill).await;
        child.kill().await.expect("it can be killed");
    }
    let ended = end(start(&run, &engine, &ably, &[])).await;
    assert_eq!(ended.status, 0, "{}", ended.errors);
    let before = ended.summary()["rooms"]["completeBefore"].as_u64();
    assert!(before.is_some_and(|before| before > 100), "{}", ended.summary());
    live.await.expect("live deliveries are stored");
    let store = store(&engine);
    for (room, messages) in &rooms {
        check_room(&store, room, messages).await;
    }
    let verify = async || end(start(&["verify", "--rooms-file", path], &engine, &ably, &[])).await;
    let verified = verify().await;
    assert_eq!((verified.status, &verified.summary()["receipts"]), (0, &json!(ROOMS)));
    let (removed, altered) = (&rooms["room 10"][20], &rooms["room 20"][30]);
    tamper(&engine, ("room 10", removed), ("room 20", altered)).await;
    let verified = verify().await;
    std::fs::remove_file(&file).expect("the file is removed");
    let broken: Vec<&Value> =
        verified.events("receipt").into_iter().filter(|it| it["holds"] == false).collect();
    assert_eq!((verified.status, broken.len()), (1, 2), "{broken:?}");
    for (room, serial) in [("room 10", &removed.serial), ("room 20", &altered.serial)] {
        let found = broken.iter().find(|it| it["room"] == room).expect("the room");
        assert!(found["problems"].to_string().contains(serial.as_str()), "{found}");
    }
}
