//! What is refused, with which code, and what browsers are told.

use serde_json::json;

use crate::server::{KEY, Server, reply};

#[tokio::test]
async fn bad_requests_have_ablys_codes() {
    let server = Server::start(&[]).await;
    for (path, expected) in [
        ("/chat/v4/rooms/a/messages?limit=0", (400, 40_003)),
        ("/chat/v4/rooms/a/messages?limit=1001", (400, 40_003)),
        ("/chat/v4/rooms/a/messages?direction=sideways", (400, 40_003)),
        ("/chat/v4/rooms/a/messages?cursor=eyJhIjoiIn0", (400, 40_003)),
        ("/chat/v4/rooms/%FF/messages", (400, 40_010)),
        ("/chat/v4/rooms//messages", (404, 40_400)),
        ("/chat/v3/rooms/a/messages", (404, 40_400)),
        ("/", (404, 40_400)),
        ("/chat/v4/rooms/a/occupancy", (404, 40_400)),
    ] {
        assert_eq!(server.get(path).await.error(), expected, "{path}");
    }
    let url = format!("{}/chat/v4/rooms/a/messages", server.url);
    let posted = server.client.post(url).basic_auth("app.key", Some("s3cret"));
    assert_eq!(reply(posted.body("{}")).await.error(), (405, 40_500));
}

#[tokio::test]
async fn nobody_reads_without_the_right() {
    let keys = json!([
        {"key": KEY, "capability": {"support:*": ["history"], "sales": ["publish"]}},
        {"key": "app.all:other"},
    ]);
    let server = Server::start(&[("HISTORY_KEYS", &keys.to_string())]).await;
    let url = format!("{}/chat/v4/rooms/a/messages", server.url);
    assert_eq!(reply(server.client.get(&url)).await.error(), (401, 40_101));
    let wrong = server.client.get(&url).basic_auth("app.key", Some("guess"));
    assert_eq!(reply(wrong).await.error(), (401, 40_101));
    let unknown = server.client.get(&url).basic_auth("app.nokey", Some("s3cret"));
    assert_eq!(reply(unknown).await.error(), (401, 40_130));
    let opaque = server.client.get(&url).bearer_auth("YXBwLnRva2Vu");
    assert_eq!(reply(opaque).await.error(), (401, 40_101));
    assert_eq!(server.get("/chat/v4/rooms/a/messages").await.error(), (401, 40_160));
    assert_eq!(server.get("/chat/v4/rooms/sales/messages").await.error(), (401, 40_160));
    assert_eq!(server.get("/chat/v4/rooms/support%3A1/messages").await.status, 200);
    assert_eq!(server.get_as("app.all:other", "/chat/v4/rooms/a/messages").await.status, 200);
}

#[tokio::test]
async fn a_browser_of_another_origin_may_ask() {
    let server = Server::start(&[]).await;
    let url = format!("{}/chat/v4/rooms/a/messages", server.url);
    let preflight = server
        .client
        .request(reqwest::Method::OPTIONS, &url)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization,x-ably-version,ably-agent");
    let allowed = reply(preflight).await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    for name in ["authorization", "x-ably-version", "ably-agent", "x-ably-clientid", "content-type"]
    {
        assert!(allowed.header("access-control-allow-headers").contains(name), "{name}");
    }
    let refused = reply(server.client.get(&url).header("origin", "https://app.example")).await;
    assert_eq!(refused.error(), (401, 40_101));
    for name in ["link", "x-ably-errorcode", "x-ably-errormessage"] {
        assert!(refused.header("access-control-expose-headers").contains(name), "{name}");
    }
    assert!(refused.header("vary").to_lowercase().contains("origin"));
}

#[tokio::test]
async fn anybody_may_know_the_time() {
    let server = Server::start(&[]).await;
    let time = reply(server.client.get(format!("{}/time", server.url))).await.json();
    assert!(time[0].as_i64().expect("a number") > 1_700_000_000_000);
}
