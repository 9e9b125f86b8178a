//! The client against a stand-in of Ably's REST API that is slow, cut short, silent or at odds.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Ably, Once};
use tokio::time::Instant;

use super::*;

/// Time-outs of which a test can await several.
const TIMES: Times = Times {
    connect: Duration::from_secs(4),
    idle: Duration::from_millis(500),
    whole: Duration::from_secs(60),
    pauses: (Duration::from_millis(1), Duration::from_millis(10)),
};
const ALL: (i64, i64) = (0, 2_000_000_000_000);

fn rest(ably: &Ably) -> AblyRest {
    let key = ApiKey::parse(Ably::KEY).unwrap();
    AblyRest::with(&key, Some(&ably.endpoint), None, TIMES).unwrap()
}

fn room(name: &str) -> RoomName {
    RoomName(name.into())
}

fn publish(ably: &Ably, room: &str, count: i64) {
    for number in 1..=count {
        let serial = format!("{number:014}-000@a:000");
        let version = json!({"serial": serial, "timestamp": number});
        let message = json!({"serial": serial, "clientId": "ana", "text": "text", "metadata": {},
            "headers": {}, "timestamp": number, "action": "message.create", "version": version});
        ably.publish(room, message);
    }
}

/// Reads a room's whole history; the sizes of its pages.
async fn sizes(rest: &AblyRest, name: &str) -> Result<Vec<usize>, RestError> {
    let (mut sizes, mut query) = (Vec::new(), Some(history_query(ALL.0, ALL.1)));
    while let Some(asked) = query {
        let page = rest.history(&room(name), &asked).await?;
        sizes.push(page.items.len());
        query = page.next;
    }
    Ok(sizes)
}

#[test]
fn names_are_encoded_as_one_segment() {
    let path = room_path(&room("a/b?c#d%e f+é")).unwrap();
    assert_eq!(path, "/chat/v4/rooms/a%2Fb%3Fc%23d%25e%20f%2B%C3%A9");
    assert_eq!(channel_path(&room("a:b")), "/channels/a%3Ab%3A%3A%24chat");
}

/// Longer than any time-out without a byte, and never that long without one.
#[tokio::test]
async fn regression_a_page_that_flows_steadily_arrives() {
    let ably = Ably::start().await;
    publish(&ably, "r", 100);
    ably.behave(|it| it.flow = Some((15, Duration::from_millis(100))));
    let started = Instant::now();
    assert_eq!(sizes(&rest(&ably), "r").await.unwrap(), [100]);
    assert!(started.elapsed() > 2 * TIMES.idle);
    assert_eq!(ably.requests()[0], 1);
}

#[tokio::test]
async fn regression_a_page_that_is_too_big_comes_in_parts() {
    let ably = Ably::start().await;
    publish(&ably, "r", 2_500);
    ably.behave(|it| it.chokes_above = Some(600));
    assert_eq!(sizes(&rest(&ably), "r").await.unwrap(), [500; 5]);
}

/// A page behind a cursor is asked for in parts too; where Ably does not take that, as before.
#[tokio::test]
async fn regression_a_page_behind_a_cursor_comes_in_parts() {
    for (fixes_limits, expected) in [(false, vec![1_000, 500, 500]), (true, vec![1_000, 1_000])] {
        let ably = Ably::start().await;
        publish(&ably, "r", 2_000);
        ably.behave(|it| it.fixes_limits = fixes_limits);
        let (rest, first) = (rest(&ably), history_query(ALL.0, ALL.1));
        let mut page = rest.history(&room("r"), &first).await.unwrap();
        (0..2).for_each(|_| ably.next("/chat", Once::CutShort));
        let mut sizes = vec![page.items.len()];
        while let Some(query) = &page.next {
            page = rest.history(&room("r"), query).await.unwrap();
            sizes.push(page.items.len());
        }
        assert_eq!(sizes, expected);
    }
}

/// Each of them once, or twice in a row, and the page arrives.
#[tokio::test]
async fn regression_a_bad_answer_is_asked_for_again() {
    let ably = Ably::start().await;
    publish(&ably, "r", 10);
    for once in [
        Once::CutShort,
        Once::Odd("[{\"serial\":", "application/json"),
        Once::Odd("<html>please log in</html>", "text/html"),
        Once::Odd("", "text/plain"),
        Once::Silence,
        Once::Error(503, 50_003),
        Once::Error(429, 42_910),
    ] {
        for count in 1..3 {
            (0..count).for_each(|_| ably.next("/chat", once));
            assert_eq!(sizes(&rest(&ably), "r").await.unwrap(), [10], "{once:?}");
        }
    }
}

/// What stays in the way is named after three tries, and not asked for minutes.
#[tokio::test]
async fn a_proxy_in_the_way_is_named() {
    let ably = Ably::start().await;
    ably.behave(|it| it.instead = Some(("<html>please log in</html>", "text/html")));
    let error = sizes(&rest(&ably), "r").await.unwrap_err();
    assert!(error.to_string().contains("found text/html"), "{error}");
    assert_eq!(ably.requests()[0], 3);
}

#[tokio::test]
async fn regression_an_enumeration_that_breaks_off_starts_again() {
    let ably = Ably::start().await;
    let ids: Vec<String> = (0..7).map(|number| format!("{number}::$chat")).collect();
    ids.iter().for_each(|id| ably.enter(id));
    ably.behave(|it| it.page = 3);
    // Another enumeration is going on; then the second page breaks off.
    for once in [Once::Error(429, 42_912), Once::Error(400, 42_912)] {
        ably.next("/channels", once);
    }
    let rest = rest(&ably);
    assert_eq!(rest.channels().await.unwrap().len(), 7);
    assert_eq!(ably.requests()[0], 2 + 3);
    ably.next("/channels", Once::Error(400, 40_011));
    let listed = rest.channels().await.unwrap();
    let listed: Vec<Value> =
        listed.iter().map(|id| serde_json::from_str(id.get()).unwrap()).collect();
    assert_eq!(listed, ids.iter().map(|id| json!(id)).collect::<Vec<_>>());
    ably.refuse("/channels", 400, 40_011);
    assert_eq!(rest.channels().await.unwrap_err().code, Some(40_011));
}

/// Each says which capability is missing, of what.
#[tokio::test]
async fn regression_a_missing_capability_is_said_by_name() {
    let ably = Ably::start().await;
    ably.refuse("/", 401, 40_160);
    let rest = rest(&ably);
    let errors = [
        (rest.channels().await.unwrap_err(), "`channel-metadata` on `*`"),
        (rest.meta("[meta]log", ALL).await.unwrap_err(), "`history` on `[meta]*`"),
        (sizes(&rest, "r").await.unwrap_err(), "`history` on the rooms"),
    ];
    for (error, advice) in errors {
        assert!(error.lacks_capability() && !error.is_of_key() && !error.is_transient());
        assert!(error.to_string().contains(advice), "{error}");
    }
}

/// A URL cannot name these rooms; their channels, it can.
#[tokio::test]
async fn regression_rooms_that_no_url_can_name_are_read() {
    let ably = Ably::start().await;
    let rest = rest(&ably);
    for name in [".", ".."] {
        publish(&ably, name, 3);
        let page = rest.history(&room(name), &history_query(ALL.0, ALL.1)).await.unwrap();
        assert_eq!((page.items.len(), page.form), (3, Form::PubSub));
        let serial = Serial(format!("{:014}-000@a:000", 1));
        let Versions::PubSub(versions) = rest.versions(&room(name), &serial).await.unwrap() else {
            panic!("not of the Pub/Sub API");
        };
        assert_eq!(versions.len(), 1);
        assert!(rest.annotations(&room(name), &serial).await.unwrap().is_empty());
    }
    // Which says nothing about other rooms.
    publish(&ably, "r", 1);
    let versions = rest.versions(&room("r"), &Serial(format!("{:014}-000@a:000", 1))).await;
    assert!(matches!(versions.unwrap(), Versions::Chat(_)));
}

/// Whoever stops waiting leaves nothing behind: the client goes on with the next request.
#[tokio::test]
async fn regression_a_request_can_be_dropped_at_any_point() {
    let ably = Ably::start().await;
    publish(&ably, "r", 1);
    let key = ApiKey::parse(Ably::KEY).unwrap();
    let rest = AblyRest::with(&key, Some(&ably.endpoint), Some(1_000.0), Times::USUAL).unwrap();
    for once in [Once::Silence, Once::Error(503, 50_003)] {
        ably.next("/chat", once);
        let before = ably.requests()[0];
        let asked = async {
            while ably.requests()[0] == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            page = sizes(&rest, "r") => panic!("{page:?}"),
            () = asked => {}
        }
    }
    assert_eq!(sizes(&rest, "r").await.unwrap(), [1]);
}
