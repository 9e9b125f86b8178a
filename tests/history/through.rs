//! Publishing as a caller of the server sees it: forwarded, stored, and readable at once.

use serde_json::{Value, json};
use testkit::{Ably, Engine, Once};

use crate::server::{Reply, Server, encoded, reply};

const PATH: &str = "/chat/v4/rooms/a/messages";

async fn server(ably: &Ably, engine: Engine, more: &[(&str, &str)]) -> Server {
    let app = Ably::KEY.split('.').next().expect("an app");
    let settings = [
        ("PUBLISH", "on"),
        ("ABLY_APP_ID", app),
        ("HISTORY_KEYS", Ably::KEY),
        ("ABLY_REST_URL", ably.endpoint.as_str()),
    ];
    Server::over(engine, &[&settings, more].concat()).await
}

async fn send(server: &Server, method: &str, path: &str, body: &Value) -> Reply {
    let (name, secret) = Ably::KEY.split_once(':').expect("a key");
    let method = method.parse().expect("a method");
    let request = server.client.request(method, format!("{}{path}", server.url));
    let request = request.basic_auth(name, Some(secret)).header("x-ably-version", "4");
    reply(request.header("content-type", "application/json").body(body.to_string())).await
}

#[tokio::test]
async fn what_is_published_is_read_back_at_once() {
    let ably = Ably::start().await;
    let server = server(&ably, Engine::start().await, &[]).await;
    let sent = send(&server, "POST", PATH, &json!({"text": "hi", "metadata": {"a": 1}})).await;
    assert_eq!((sent.status, sent.header("x-archive")), (201, "stored"));
    let serial = encoded(sent.json()["serial"].as_str().expect("a serial"));
    let update = json!({"message": {"text": "hello"}, "description": "typo"});
    let updated = send(&server, "PUT", &format!("{PATH}/{serial}"), &update).await;
    assert_eq!((updated.status / 100, updated.header("x-archive")), (2, "stored"));
    let found = server.get_as(Ably::KEY, PATH).await.json();
    assert_eq!(
        (found[0]["text"].as_str(), found[0]["action"].as_str()),
        (Some("hello"), Some("message.update"))
    );
    assert_eq!(found[0]["version"], updated.json()["version"]);
    let deleted = send(&server, "POST", &format!("{PATH}/{serial}/delete"), &json!({})).await;
    assert_eq!((deleted.status / 100, deleted.header("x-archive")), (2, "stored"));
    let found = server.get_as(Ably::KEY, PATH).await.json();
    assert_eq!(found[0]["action"], "message.delete");
    let versions = server.get_as(Ably::KEY, &format!("{PATH}/{serial}/versions")).await.json();
    assert_eq!(versions.as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn what_node_publishes_is_answered_in_messagepack() {
    let ably = Ably::start().await;
    let server = server(&ably, Engine::start().await, &[]).await;
    let (name, secret) = Ably::KEY.split_once(':').expect("a key");
    let body = json!({"text": "hi"}).to_string();
    let request =
        server.client.post(format!("{}{PATH}", server.url)).basic_auth(name, Some(secret));
    let request = request.header("content-type", "application/json");
    let sent = reply(request.header("accept", "application/x-msgpack").body(body)).await;
    assert_eq!((sent.status, sent.header("content-type")), (201, "application/x-msgpack"));
    let message: Value = rmp_serde::from_slice(&sent.body).expect("MessagePack");
    assert_eq!(message["text"], "hi");
}

#[tokio::test]
async fn ably_refuses_in_its_own_words() {
    let ably = Ably::start().await;
    let server = server(&ably, Engine::start().await, &[]).await;
    ably.next(PATH, Once::Error(429, 42_911));
    let refused = send(&server, "POST", PATH, &json!({"text": "hi"})).await;
    assert_eq!((refused.error(), refused.header("x-archive")), ((429, 42_911), ""));
    let other = send(&server, "GET", "/chat/v4/rooms/a/occupancy", &json!({})).await;
    assert_eq!(other.status, 404, "Ably's stand-in knows no occupancy, and says so");
    assert_eq!(server.get_as(Ably::KEY, PATH).await.json(), json!([]));
}

#[tokio::test]
async fn rules_are_kept_before_anything_is_sent() {
    let ably = Ably::start().await;
    let rules = json!({"maxLength": 5, "banned": ["darn"], "rooms": ["^a$"]}).to_string();
    let server = server(&ably, Engine::start().await, &[("PUBLISH_RULES", &rules)]).await;
    let before = ably.requests()[0];
    for (path, text, expected) in [
        (PATH, "too long", (413, 40_009)),
        (PATH, "DARN", (422, 42_211)),
        ("/chat/v4/rooms/b/messages", "hi", (422, 42_211)),
    ] {
        assert_eq!(send(&server, "POST", path, &json!({"text": text})).await.error(), expected);
    }
    assert_eq!(ably.requests()[0], before, "nothing went to Ably");
    assert_eq!(send(&server, "POST", PATH, &json!({"text": "hi"})).await.status, 201);
}

/// What is none of ours may be read at Ably, and not published past rules, hook and table.
#[tokio::test]
async fn regression_other_paths_published_past_the_rules() {
    let ably = Ably::start().await;
    let rules = json!({"banned": ["darn"]}).to_string();
    let server = server(&ably, Engine::start().await, &[("PUBLISH_RULES", &rules)]).await;
    let before = ably.requests()[0];
    for path in [
        "/chat/v4/rooms/a/messages/",
        "/chat/v3/rooms/a/messages",
        "/channels/a%3A%3A%24chat/messages",
        "/messages",
        "/keys/other.key/requestToken",
    ] {
        let refused = send(&server, "POST", path, &json!({"text": "darn"})).await;
        assert!([401, 404, 405].contains(&refused.status), "{path}: {}", refused.status);
    }
    assert_eq!(ably.requests()[0], before, "nothing went to Ably");
}
