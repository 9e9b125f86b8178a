//! Reading back: pages that meet without a gap or a repeat, over DynamoDB pages of any size, and
//! over rows that different settings left.

use ably_chat_exporter::chat::{Action, RoomName, Serial};
use ably_chat_exporter::store::{Direction, KeepVersions, PageRequest, Settings, Start, Store};
use testkit::Engine;

use crate::common::{self, Delivery, Op, OpKind, reading, send, serial};

fn version(message: u32, version: u32) -> Op {
    let action = if version == 0 { Action::Create } else { Action::Update };
    Op { room: 0, message, version, kind: OpKind::Version(action, None) }
}

async fn store_ops(engine: &Engine, versions: KeepVersions, ops: Vec<Op>) -> Store {
    let settings = Settings { versions, ..Settings::default() };
    let ingest = common::ingest(engine, settings);
    let delivery = Delivery { id: "d".into(), received_at: common::EPOCH, ops };
    assert_eq!(send(&ingest, "d", &delivery.body()).await.failed, []);
    ingest.store
}

fn request(direction: Direction, start: Start, limit: usize) -> PageRequest {
    let room = RoomName(common::ROOMS[0].into());
    PageRequest { start, ..PageRequest::new(room, direction, limit) }
}

async fn serials(store: &Store, request: &PageRequest) -> (Vec<Serial>, Option<Start>) {
    let page = store.page(request).await.expect("a page");
    (page.messages.into_iter().map(|m| m.message.serial).collect(), page.next)
}

#[tokio::test]
async fn pages_meet_in_both_directions_and_all_modes() {
    for mode in [KeepVersions::Both, KeepVersions::Latest, KeepVersions::All] {
        let engine = Engine::start().await;
        let ops = (0..10).flat_map(|m| (0..=m % 4).map(move |v| version(m, v))).collect();
        let store = store_ops(&engine, mode, ops).await;
        let all: Vec<_> = (0..10).map(|m| serial(m, 0)).collect();
        for limit in [1, 3, 10, 1_000] {
            let forwards = reading::whole_room(&store, "a", Direction::OldestFirst, limit).await;
            assert_eq!(forwards.iter().map(|m| m.message.serial.clone()).collect::<Vec<_>>(), all);
            let newest = |m: u32| serial(m, m % 4);
            for (number, message) in (0..).zip(&forwards) {
                assert_eq!(message.message.version.serial, newest(number), "{mode:?}");
            }
            let mut backwards =
                reading::whole_room(&store, "a", Direction::NewestFirst, limit).await;
            backwards.reverse();
            assert_eq!(backwards, forwards);
        }
    }
}

#[tokio::test]
async fn a_page_starts_at_or_past_a_message() {
    let engine = Engine::start().await;
    let store =
        store_ops(&engine, KeepVersions::Both, (0..5).map(|m| version(m, 0)).collect()).await;
    let at = |m: u32| serial(m, 0);
    let from = Start::From(at(2));
    let (found, next) = serials(&store, &request(Direction::NewestFirst, from.clone(), 2)).await;
    assert_eq!((found, next), (vec![at(2), at(1)], Some(Start::After(at(1)))));
    let (found, next) = serials(&store, &request(Direction::OldestFirst, from, 2)).await;
    assert_eq!((found, next), (vec![at(2), at(3)], Some(Start::After(at(3)))));
    let (found, next) =
        serials(&store, &request(Direction::OldestFirst, Start::After(at(3)), 2)).await;
    assert_eq!((found, next), (vec![at(4)], None));
    let (found, next) = serials(&store, &request(Direction::OldestFirst, Start::Edge, 0)).await;
    assert_eq!((found, next), (vec![], Some(Start::Edge)));
    // The SDKs' bounds lack the last part of a serial.
    let bound = at(2).0.strip_suffix(":000").map(|text| Serial(text.into())).expect("it ends so");
    let (found, _) =
        serials(&store, &request(Direction::NewestFirst, Start::From(bound.clone()), 1)).await;
    assert_eq!(found, [at(2)]);
    let (found, _) = serials(&store, &request(Direction::OldestFirst, Start::From(bound), 1)).await;
    assert_eq!(found, [at(2)]);
    // Past either end there is nothing.
    for (direction, beyond) in [(Direction::OldestFirst, "9"), (Direction::NewestFirst, "00")] {
        for start in [Start::From(Serial(beyond.into())), Start::After(Serial(beyond.into()))] {
            let (found, next) = serials(&store, &request(direction, start, 5)).await;
            assert_eq!((found, next), (vec![], None), "{direction:?} {beyond}");
        }
    }
}

#[tokio::test]
async fn serials_that_extend_each_other_keep_their_place() {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let serials = ["1-0@x", "1-0@x:000", "1-0@x:001", "1-0@xy", "2"];
    for serial in serials {
        let body = format!(
            r#"{{"channel":"r::$chat","messages":[{{"name":"chat.message","serial":"{serial}"}}]}}"#
        );
        assert_eq!(send(&ingest, "d", body.as_bytes()).await.stored, 1);
    }
    for limit in [1, 2] {
        let found = reading::whole_room(&ingest.store, "r", Direction::OldestFirst, limit).await;
        let mut found: Vec<_> = found.into_iter().map(|m| m.message.serial.0).collect();
        assert_eq!(found, serials);
        let reversed = reading::whole_room(&ingest.store, "r", Direction::NewestFirst, limit).await;
        found.reverse();
        assert_eq!(reversed.into_iter().map(|m| m.message.serial.0).collect::<Vec<_>>(), found);
    }
}

#[tokio::test]
async fn rows_of_different_settings_are_read_as_one() {
    let engine = Engine::start().await;
    store_ops(&engine, KeepVersions::Latest, vec![version(0, 0), version(1, 1)]).await;
    let store = store_ops(&engine, KeepVersions::All, vec![version(0, 1), version(1, 0)]).await;
    for message in [0, 1] {
        let room = RoomName(common::ROOMS[0].into());
        let found = store.message(&room, &serial(message, 0)).await.expect("a read");
        assert_eq!(found.expect("a message").message.version.serial, serial(message, 1));
        let versions = store.versions(&room, &serial(message, 0)).await.expect("a read");
        assert_eq!(versions.len(), 2);
    }
    for message in reading::whole_room(&store, "a", Direction::OldestFirst, 1).await {
        assert_ne!(message.message.version.serial, message.message.serial);
    }
}

#[tokio::test]
async fn a_page_spans_what_dynamodb_reads_at_once() {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let text = "x".repeat(200_000);
    for number in 10..30 {
        let body = format!(
            r#"{{"channel":"r::$chat","messages":[{{"name":"chat.message","serial":"{number}",
                "data":{{"text":"{text}"}}}}]}}"#
        );
        assert_eq!(send(&ingest, "d", body.as_bytes()).await.failed, []);
    }
    let found = reading::whole_room(&ingest.store, "r", Direction::NewestFirst, 50).await;
    assert_eq!(found.len(), 20, "8 MB of rows, and DynamoDB reads 1 MB at once");
    assert!(found.iter().all(|message| message.message.text == text));
}

#[tokio::test]
async fn an_unknown_message_or_room_is_none() {
    let engine = Engine::start().await;
    let store = store_ops(&engine, KeepVersions::Both, vec![version(0, 0)]).await;
    let room = |name: &str| RoomName(name.into());
    assert!(store.message(&room("a"), &serial(7, 0)).await.expect("a read").is_none());
    assert!(store.message(&room("b"), &serial(0, 0)).await.expect("a read").is_none());
    assert_eq!(store.versions(&room("b"), &serial(0, 0)).await.expect("a read"), []);
    assert!(reading::whole_room(&store, "b", Direction::NewestFirst, 3).await.is_empty());
}

#[tokio::test]
async fn a_foreign_row_is_named() {
    let engine = Engine::start().await;
    let store = store_ops(&engine, KeepVersions::Both, vec![version(0, 0)]).await;
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.into());
    let put = engine.client().put_item().table_name(Engine::TABLE);
    let put = put.item("pk", text("a")).item("sk", text("message#zzz"));
    put.send().await.expect("the row is written");
    let page = store.page(&request(Direction::NewestFirst, Start::Edge, 5)).await.expect("a page");
    let [error] = page.unreadable.as_slice() else { panic!("one row: {:?}", page.unreadable) };
    assert!(error.contains("the row \"message#zzz\" is not one of this program's"), "{error}");
    let found: Vec<_> = page.messages.into_iter().map(|m| m.message.serial).collect();
    assert_eq!(found, [serial(0, 0)], "its neighbours are read all the same");
}
