//! Pages of the table: what is on them, how they meet, and where they end.

use ably_chat_exporter::store::KeepVersions;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::EPOCH;
use crate::common::history::Message;
use crate::server::{KEY, Server, encoded, reply};

/// What Ably would serve of a message.
fn served(message: &Message) -> Value {
    let mut latest = message.versions.last().expect("a version").clone();
    let none = || json!({"unique": {}, "distinct": {}, "multiple": {}});
    latest["reactions"] = match message.reactions {
        0 => none(),
        total => crate::common::history::reactions(total),
    };
    latest
}

fn chat(count: u32) -> Vec<Message> {
    let message =
        |n| Message::new(n, n % 3, n % 5 == 4, u64::from(n % 4 == 1) * u64::from(n % 7 + 1));
    (0..count).map(message).collect()
}

#[tokio::test]
async fn a_room_is_walked_both_ways_as_ably_serves_it() {
    let server = Server::start(&[]).await;
    let messages = chat(25);
    server.store("a", &messages).await;
    let expected: Vec<Value> = messages.iter().map(served).collect();
    for limit in [1, 7, 25, 1_000] {
        let query = format!("limit={limit}&orderBy=oldestFirst&direction=forwards");
        assert_eq!(server.walk(KEY, "a", &query).await, expected);
        let mut newest_first = server.walk(KEY, "a", &format!("limit={limit}")).await;
        newest_first.reverse();
        assert_eq!(newest_first, expected);
    }
}

#[tokio::test]
async fn a_page_says_how_to_go_on() {
    let server = Server::start(&[]).await;
    server.store("a", &chat(3)).await;
    let page = server.get("/chat/v4/rooms/a/messages?limit=2").await;
    let links: Vec<&str> = page.header("link").split(',').collect();
    assert!(links[0].starts_with("<./messages?limit=2&direction=backwards>; rel=\"first\""));
    assert!(links[1].contains("rel=\"current\"") && links[2].ends_with("rel=\"next\""));
    assert_eq!(
        (page.header("content-type"), page.header("x-archive")),
        ("application/json", "table")
    );
    let next = page.next().expect("there is more");
    let last = server.get(&format!("/chat/v4/rooms/a/messages?{next}")).await;
    assert_eq!((last.json().as_array().map(Vec::len), last.next()), (Some(1), None));
    assert!(last.header("link").contains("rel=\"first\""), "the SDK's first() needs it");
    let unknown = server.get("/chat/v4/rooms/nobody/messages").await;
    assert_eq!((unknown.status, unknown.json()), (200, json!([])));
}

#[tokio::test]
async fn times_and_serials_bound_a_page() {
    let server = Server::start(&[]).await;
    let messages = chat(10);
    server.store("a", &messages).await;
    let at = |n: i64| EPOCH + n * 1_000;
    let serials = async |query: &str| -> Vec<String> {
        let found = server.walk(KEY, "a", query).await;
        found.iter().map(|m| m["serial"].as_str().expect("a serial").to_owned()).collect()
    };
    let expected = |range: std::ops::Range<usize>| -> Vec<String> {
        messages[range].iter().map(|message| message.serial.clone()).collect()
    };
    let forwards = "direction=forwards";
    let window = format!("{forwards}&limit=2&start={}&end={}", at(3), at(6));
    assert_eq!(serials(&window).await, expected(3..6), "start is included, end is not");
    assert_eq!(serials(&format!("{forwards}&end={}", at(0))).await, expected(0..0));
    let bound = encoded(&messages[4].serial);
    assert_eq!(serials(&format!("{forwards}&fromSerial={bound}")).await, expected(4..10));
    let mut back = expected(0..5);
    back.reverse();
    assert_eq!(serials(&format!("fromSerial={bound}&limit=3")).await, back);
    let bare = messages[4].serial.strip_suffix(":000").expect("it ends so");
    assert_eq!(serials(&format!("fromSerial={}", encoded(bare))).await, back, "CHA-M5g");
}

#[tokio::test]
async fn one_message_its_versions_and_who_reacted() {
    let server = Server::start(&[]).await;
    let message = Message::new(0, 2, true, 3);
    server.store("a", std::slice::from_ref(&message)).await;
    let path = format!("/chat/v4/rooms/a/messages/{}", encoded(&message.serial));
    assert_eq!(server.get(&path).await.json(), served(&message));
    let versions = server.get(&format!("{path}/versions?limit=3")).await;
    let texts = |page: &crate::server::Reply| -> Vec<Value> {
        page.json().as_array().expect("a list").iter().map(|m| m["text"].clone()).collect()
    };
    assert_eq!(texts(&versions), ["text 0 0", "text 0 1", "text 0 2"]);
    let next = versions.next().expect("the delete");
    let last = server.get(&format!("{path}/versions?{next}")).await;
    assert_eq!((texts(&last), last.next()), (vec![json!("")], None));
    let of_client =
        async |query: &str| server.get(&format!("{path}/client-reactions{query}")).await;
    let mine = of_client("?forClientId=client%201").await.json();
    assert_eq!(mine["distinct"]["👍"]["clientIds"], json!(["client 1"]));
    assert_eq!(mine["distinct"]["👍"]["total"], 3);
    assert_eq!(of_client("?forClientId=bob").await.json()["distinct"], json!({}));
    assert_eq!(of_client("?clientId=client%202").await.json()["distinct"]["👍"]["total"], 3);
    assert_eq!(of_client("").await.error(), (400, 40_003));
    for path in ["/chat/v4/rooms/a/messages/nope", "/chat/v4/rooms/b/messages/nope/versions"] {
        assert_eq!(server.get(path).await.error(), (404, 40_400));
    }
}

#[tokio::test]
async fn a_room_may_be_called_anything() {
    let server = Server::start(&[]).await;
    let long = "é".repeat(1_024);
    let names = ["a/b", "a?b", "a%2Fb", "a#b", "a+b", "a b", "é🙂", "a::$chat", &long];
    for (number, room) in (0..).zip(names) {
        let message = Message::new(number, 0, false, 0);
        server.store(room, std::slice::from_ref(&message)).await;
    }
    for (number, room) in (0..).zip(names) {
        let found = server.walk(KEY, room, "").await;
        let message = Message::new(number, 0, false, 0);
        assert_eq!(found, [served(&message)], "{room}");
    }
    let longer = encoded(&"r".repeat(2_049));
    let refused = server.get(&format!("/chat/v4/rooms/{longer}/messages")).await;
    assert_eq!(refused.error(), (400, 40_010));
}

#[tokio::test]
async fn messagepack_is_what_node_reads() {
    let server = Server::start(&[]).await;
    let messages = chat(9);
    server.store("a", &messages).await;
    let request = server.client.get(format!("{}/chat/v4/rooms/a/messages?limit=9", server.url));
    let request = request.basic_auth("app.key", Some("s3cret"));
    let page = reply(request.header("accept", "application/x-msgpack")).await;
    assert_eq!(page.header("content-type"), "application/x-msgpack");
    let found: Value = rmp_serde::from_slice(&page.body).expect("MessagePack");
    let mut expected: Vec<Value> = messages.iter().map(served).collect();
    expected.reverse();
    assert_eq!(found, json!(expected));
}

#[tokio::test]
async fn large_messages_make_short_pages() {
    let server = Server::start(&[]).await;
    let mut messages: Vec<_> = (0..40).map(|n| Message::new(n, 0, false, 0)).collect();
    for message in &mut messages {
        // Quotes count twice: a function's answer is JSON in JSON.
        message.versions[0]["text"] = json!("\"".repeat(190_000));
    }
    server.store("a", &messages).await;
    let page = server.get("/chat/v4/rooms/a/messages?limit=1000").await;
    let body = serde_json::to_string(&String::from_utf8(page.body.clone()).expect("text"));
    assert!(body.expect("JSON").len() < 6_000_000 && page.next().is_some());
    assert_eq!(server.walk(KEY, "a", "limit=1000").await.len(), 40);
}

#[tokio::test]
async fn an_unchanged_page_need_not_be_sent_again() {
    let server = Server::start(&[]).await;
    server.store("a", &chat(2)).await;
    let url = format!("{}/chat/v4/rooms/a/messages", server.url);
    let ask = |tag: &str| {
        let request = server.client.get(&url).basic_auth("app.key", Some("s3cret"));
        reply(request.header("if-none-match", tag))
    };
    let tag = ask("\"x\"").await.header("etag").to_owned();
    let unchanged = ask(&tag).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    server.store("a", &[Message::new(7, 0, false, 0)]).await;
    assert_eq!(ask(&tag).await.status, 200);
}

#[tokio::test]
async fn the_room_as_it_was() {
    let server = Server::start(&[]).await;
    let messages = [Message::new(0, 2, true, 0), Message::new(1, 0, false, 0)];
    server.store("a", &messages).await;
    let texts = async |then: i64| -> Vec<Value> {
        let found = server.walk(KEY, "a", &format!("direction=forwards&asOf={then}")).await;
        found.iter().map(|m| m["text"].clone()).collect()
    };
    assert_eq!(texts(EPOCH - 1).await, Vec::<Value>::new());
    assert_eq!(texts(EPOCH).await, ["text 0 0"]);
    assert_eq!(texts(EPOCH + 1).await, ["text 0 1"]);
    assert_eq!(texts(EPOCH + 2).await, ["text 0 2"]);
    assert_eq!(texts(EPOCH + 3).await, [""]);
    assert_eq!(texts(EPOCH + 1_000).await, ["", "text 1 0"]);
    // Of a message whose earlier versions were not kept, nobody knows.
    server.store_as(KeepVersions::Latest, "b", &messages[..1]).await;
    let page = server.get(&format!("/chat/v4/rooms/b/messages?asOf={}", EPOCH + 1)).await;
    assert_eq!(page.error(), (400, 40_000));
    let page = server.get(&format!("/chat/v4/rooms/b/messages?asOf={}", EPOCH + 9)).await;
    assert_eq!(page.json().as_array().map(Vec::len), Some(1));
    let latest = Server::start(&[("VERSIONS", "latest")]).await;
    let page = latest.get("/chat/v4/rooms/b/messages?asOf=1").await;
    assert_eq!(page.error(), (400, 40_003));
}

/// A crash between the two puts of an edit, or settings that changed between, leave an older latest
/// row beside a newer version.
#[tokio::test]
async fn regression_newest_first_showed_an_older_version() {
    let server = Server::start(&[]).await;
    let message = Message::new(0, 0, true, 0);
    let part = |range: std::ops::Range<usize>| {
        let mut part = message.clone();
        part.versions = part.versions[range].to_vec();
        [part]
    };
    server.store_as(KeepVersions::All, "a", &part(1..2)).await;
    server.store_as(KeepVersions::Both, "a", &part(0..1)).await;
    let path = format!("/chat/v4/rooms/a/messages/{}", encoded(&message.serial));
    assert_eq!(server.get(&path).await.json(), served(&message));
    for query in ["", "direction=forwards"] {
        assert_eq!(server.walk(KEY, "a", query).await, [served(&message)], "{query}");
    }
}

/// A message that is edited without end must not make its room unreadable.
#[tokio::test]
async fn regression_many_versions_were_walked_one_by_one() {
    let server = Server::start(&[]).await;
    let edited = Message::new(5, 1_200, false, 0);
    let last = Message::new(9, 0, false, 0);
    let all: Vec<Message> = chat(5).into_iter().chain([edited, last]).collect();
    server.store("a", &all).await;
    let mut newest_first = server.walk(KEY, "a", "limit=1").await;
    newest_first.reverse();
    let expected: Vec<Value> = all.iter().map(served).collect();
    assert_eq!(newest_first, expected);
    assert_eq!(server.walk(KEY, "a", "limit=1&direction=forwards").await, expected);
}

/// How each message was stored, by the setting of that day, and what of it was lost on the way.
fn any_history() -> impl Strategy<Value = Vec<(u32, bool, u64, u8, Option<usize>)>> {
    let modes = 0..3_u8;
    let lost = proptest::option::of(0..3_usize);
    proptest::collection::vec((0..3_u32, any::<bool>(), 0..3_u64, modes, lost), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever `VERSIONS` was when, and whatever it is now, each message is there once, in the
    /// newest version that was stored.
    #[test]
    fn settings_may_have_changed_between(
        history in any_history(), now in 0..3_usize, limit in 1..6_usize,
    ) {
        const MODES: [KeepVersions; 3] =
            [KeepVersions::Both, KeepVersions::Latest, KeepVersions::All];
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let server = Server::start(&[("VERSIONS", MODES[now].word())]).await;
            let mut expected = Vec::new();
            for (number, (updates, is_deleted, reactions, mode, lost)) in (0..).zip(history) {
                let mut message = Message::new(number, updates, is_deleted, reactions);
                let count = message.versions.len();
                if let Some(lost) = lost.filter(|lost| *lost < count && count > 1) {
                    message.versions.remove(lost);
                }
                let mode = MODES[usize::from(mode)];
                server.store_as(mode, "a", std::slice::from_ref(&message)).await;
                expected.push(served(&message));
            }
            let found = server.walk(KEY, "a", &format!("limit={limit}&direction=forwards")).await;
            assert_eq!(found, expected);
            let mut found = server.walk(KEY, "a", &format!("limit={limit}")).await;
            found.reverse();
            assert_eq!(found, expected);
            for message in &expected {
                let serial = encoded(message["serial"].as_str().expect("a serial"));
                let found = server.get(&format!("/chat/v4/rooms/a/messages/{serial}")).await.json();
                assert_eq!(&found, message);
            }
        });
    }
}
