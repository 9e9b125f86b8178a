//! What a reader finds, held against the model.

use ably_chat_exporter::chat::{RoomName, Serial};
use ably_chat_exporter::store::{Direction, KeepVersions, Page, PageRequest, Store, StoredMessage};
use testkit::Engine;

use super::{Model, ROOMS, Seen};

/// Reads a whole room, page by page.
pub async fn whole_room(
    store: &Store,
    room: &str,
    direction: Direction,
    limit: usize,
) -> Vec<StoredMessage> {
    let mut request = PageRequest::new(RoomName(room.into()), direction, limit);
    let mut messages = Vec::new();
    loop {
        let Page { messages: found, next, unreadable, .. } =
            store.page(&request).await.expect("a page");
        assert!(found.len() <= limit && unreadable.is_empty());
        messages.extend(found);
        match next {
            Some(start) => request.start = start,
            None => return messages,
        }
    }
}

/// Compares what readers see with the model: every room both ways, every message, every version.
pub async fn check(store: &Store, model: &Model, mode: KeepVersions) {
    for (room, name) in ROOMS.iter().enumerate() {
        let expected = model.room(room);
        let mut newest_first = expected.clone();
        newest_first.reverse();
        let forwards = whole_room(store, name, Direction::OldestFirst, 2).await;
        assert_eq!(forwards.iter().map(seen).collect::<Vec<_>>(), expected);
        let backwards = whole_room(store, name, Direction::NewestFirst, 2).await;
        assert_eq!(backwards.iter().map(seen).collect::<Vec<_>>(), newest_first);
        let room_name = RoomName((*name).into());
        for (serial, expected) in expected {
            let message = store.message(&room_name, &serial).await.expect("a read");
            assert_eq!(seen(&message.expect("a message")), (serial.clone(), expected));
            let versions = store.versions(&room_name, &serial).await.expect("a read");
            let serials: Vec<_> = versions.into_iter().map(|m| m.version.serial).collect();
            assert_eq!(serials, model.versions(room, &serial, mode));
        }
    }
}

fn seen(message: &StoredMessage) -> (Serial, Seen) {
    let distinct = message.reactions.distinct.get("👍");
    let StoredMessage { message, .. } = message;
    let seen = Seen {
        version: message.version.serial.clone(),
        action: message.action,
        text: message.text.clone(),
        reactions: distinct.map_or(0, |list| list.total),
    };
    (message.serial.clone(), seen)
}

/// How many rows of each kind the table holds: messages, versions, reactions, snapshots.
pub async fn count_rows(engine: &Engine) -> [usize; 4] {
    let mut counts = [0; 4];
    for row in engine.rows().await {
        let sk = row["sk"].as_s().expect("a sort key is a string");
        let kinds = ["message#", "version#", "reactions#", "snapshot#"];
        let kind = kinds.iter().position(|kind| sk.starts_with(kind)).expect("a known row");
        counts[kind] += 1;
    }
    counts
}
