//! Ably's history and the table as one: any split, any retention, and what happens when Ably fails.

use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::{Ably, Once};

use crate::common::history::{Message, reactions};
use crate::server::{Server, encoded};

const PATH: &str = "/chat/v4/rooms/a/messages";

fn serials(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|m| m["serial"].as_str().expect("a serial")).collect()
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|m| m["text"].as_str().expect("a text")).collect()
}

#[tokio::test]
async fn the_newest_version_wins_wherever_it_is() {
    let ably = Ably::start().await;
    let server = Server::merged(&ably, &[]).await;
    let message = Message::new(0, 2, false, 0);
    let mut older = message.clone();
    older.versions.truncate(2);
    // Ably lags behind the table in one message, the table behind Ably in the other.
    server.store("a", std::slice::from_ref(&message)).await;
    older.publish(&ably, "a");
    let next = Message::new(1, 1, false, 2);
    next.publish(&ably, "a");
    let page = server.get_as(Ably::KEY, &format!("{PATH}?direction=forwards")).await;
    assert_eq!(page.header("x-archive"), "merged");
    let found = page.json();
    let found = found.as_array().expect("a list");
    assert_eq!(texts(found), ["text 0 2", "text 1 1"]);
    assert_eq!(found[1]["reactions"], reactions(2));
}

#[tokio::test]
async fn without_ably_the_table_answers_and_says_so() {
    let ably = Ably::start().await;
    let server = Server::merged(&ably, &[]).await;
    let message = Message::new(0, 0, false, 0);
    server.store("a", std::slice::from_ref(&message)).await;
    for once in [
        Once::Error(500, 50_000),
        Once::Error(429, 42_910),
        Once::Odd("<html>", "text/html"),
        Once::CutShort,
        Once::Silence,
    ] {
        ably.next(PATH, once);
        let page = server.get_as(Ably::KEY, PATH).await;
        assert_eq!((page.status, page.header("x-archive")), (200, "stale"), "{once:?}");
        assert_eq!(serials(page.json().as_array().expect("a list")), [message.serial.as_str()]);
    }
    // What Ably refuses, it refuses: a token may be revoked. Not with a code at which ably-js would
    // repeat the request without end.
    ably.next(PATH, Once::Error(401, 40_141));
    assert_eq!(server.get_as(Ably::KEY, PATH).await.error(), (401, 40_101));
    // The table's end is no end while Ably may have more.
    ably.next(PATH, Once::Error(500, 50_000));
    let next = server.get_as(Ably::KEY, PATH).await.next().expect("a place to go on from");
    ably.next(PATH, Once::Error(500, 50_000));
    let page = server.get_as(Ably::KEY, &format!("{PATH}?{next}")).await;
    assert_eq!(page.error(), (503, 50_003));
    assert_eq!(server.get_as(Ably::KEY, &format!("{PATH}?{next}")).await.json(), json!([]));
}

#[tokio::test]
async fn one_message_and_its_versions_are_merged_too() {
    let ably = Ably::start().await;
    let server = Server::merged(&ably, &[]).await;
    let mut message = Message::new(0, 2, false, 0);
    message.publish(&ably, "a");
    let path = format!("{PATH}/{}", encoded(&message.serial));
    let found = server.get_as(Ably::KEY, &path).await;
    assert_eq!(
        (found.json()["text"].clone(), found.header("x-archive")),
        (json!("text 0 2"), "merged")
    );
    message.versions.remove(1);
    server.store("a", std::slice::from_ref(&message)).await;
    let versions = server.get_as(Ably::KEY, &format!("{path}/versions")).await.json();
    let found = versions.as_array().expect("a list");
    assert_eq!(texts(found), ["text 0 0", "text 0 1", "text 0 2"]);
    ably.next(&path.replace("%", ""), Once::Error(500, 50_000));
    ably.refuse("/chat/v4/rooms/a/messages/", 500, 50_000);
    let stale = server.get_as(Ably::KEY, &path).await;
    assert_eq!((stale.status, stale.header("x-archive")), (200, "stale"));
}

/// Ably has few messages, all on one page, and the oldest of them is nowhere else: it lies beyond a
/// page that the table ends.
#[tokio::test]
async fn regression_the_rest_of_ablys_last_page_was_forgotten() {
    let ably = Ably::start().await;
    let server = Server::merged(&ably, &[]).await;
    let messages: Vec<_> = (0..12).map(|n| Message::new(n, 0, false, 0)).collect();
    server.store("a", &messages[1..]).await;
    messages[..3].iter().for_each(|message| message.publish(&ably, "a"));
    let mut found = server.walk(Ably::KEY, "a", "limit=4").await;
    found.reverse();
    let expected: Vec<_> = messages.iter().map(|message| message.serial.as_str()).collect();
    assert_eq!(serials(&found), expected);
}

/// Where a message is: at Ably, in the table, or both; and up to which version in each.
#[derive(Clone, Debug)]
struct Split {
    updates: u32,
    is_deleted: bool,
    at_ably: Option<usize>,
    in_table: Option<usize>,
}

fn any_split() -> impl Strategy<Value = Split> {
    (0..3_u32, any::<bool>(), 0..4_usize, 0..4_usize, 0..3_u8).prop_map(
        |(updates, is_deleted, ably, table, place)| Split {
            updates,
            is_deleted,
            at_ably: (place != 0).then_some(ably),
            in_table: (place != 1).then_some(table),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Any split of one history into Ably and table, and any retention that moves while a reader
    /// pages: each message exactly once, in order, in the newest version that either has.
    #[test]
    fn each_message_is_there_exactly_once(
        splits in proptest::collection::vec(any_split(), 1..25),
        limit in 1..8_usize,
        is_forwards: bool,
        excludes_from_serial: bool,
        page in 1..6_usize,
        empty_pages in proptest::option::of(2..4_u64),
        retention in proptest::collection::vec(0..25_usize, 0..6),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let ably = Ably::start().await;
            ably.behave(|behaviour| {
                behaviour.excludes_from_serial = excludes_from_serial;
                behaviour.page = page;
                behaviour.empty_pages = empty_pages;
            });
            let server = Server::merged(&ably, &[]).await;
            let mut expected: Vec<(String, Value)> = Vec::new();
            let mut kept = Vec::new();
            for (number, split) in (0..).zip(&splits) {
                let message = Message::new(number, split.updates, split.is_deleted, 0);
                let upto = |versions: Option<usize>| {
                    let mut part = message.clone();
                    let count = versions? + 1;
                    part.versions.truncate(count);
                    Some(part)
                };
                let (at_ably, in_table) = (upto(split.at_ably), upto(split.in_table));
                at_ably.iter().for_each(|part| part.publish(&ably, "a"));
                if let Some(part) = &in_table {
                    server.store("a", std::slice::from_ref(part)).await;
                }
                let parts = [at_ably.as_ref(), in_table.as_ref()];
                let newest = parts.into_iter().flatten().max_by_key(|part| part.versions.len());
                let newest = newest.expect("it is somewhere").versions.last().expect("a version");
                // Retention may end for whatever the table has as new.
                let is_stored = in_table.as_ref().is_some_and(|part| {
                    part.versions.last() == Some(newest)
                });
                kept.push(is_stored);
                expected.push((message.serial.clone(), newest["version"]["serial"].clone()));
            }
            // Nothing is forgotten that only Ably has.
            let most = kept.iter().position(|is_stored| !is_stored).unwrap_or(kept.len());
            let mut retention = retention.into_iter().map(|at| at.min(most)).collect::<Vec<_>>();
            retention.sort_unstable();
            let mut retention = retention.into_iter();
            if !is_forwards {
                expected.reverse();
            }
            let direction = if is_forwards { "forwards" } else { "backwards" };
            let mut query = format!("limit={limit}&direction={direction}");
            let mut found = Vec::new();
            loop {
                let page = server.get_as(Ably::KEY, &format!("{PATH}?{query}")).await;
                let outcome = (page.status, page.header("x-archive"));
                assert_eq!(outcome, (200, "merged"), "{}", page.json());
                for message in page.json().as_array().expect("a list") {
                    let serial = message["serial"].as_str().expect("a serial").to_owned();
                    found.push((serial, message["version"]["serial"].clone()));
                }
                let Some(next) = page.next() else { break };
                query = next;
                if let Some(first) = retention.next() {
                    let first = crate::common::serial(u32::try_from(first).expect("small"), 0).0;
                    ably.behave(|behaviour| behaviour.forgets_before = first);
                }
            }
            assert_eq!(found, expected);
        });
    }
}
