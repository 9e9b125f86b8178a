//! Publishing: forwarded as it came, and stored before the answer.

use std::time::Duration;

use ably_chat_exporter::ably::Decoder;
use ably_chat_exporter::history::publish::{Archive, Operation};
use serde_json::json;

use crate::common::send;
use crate::publish_world::{
    AMPLE, APP, World, code, delivered, json_of, only, path, request, seen,
};

const ROOM: &str = "a/b?c%d é";

#[tokio::test]
async fn a_message_is_stored_before_it_is_answered() {
    let world = World::start().await;
    let body = json!({"text": "hi", "metadata": {"a": [1, {"b": null}]}, "headers": {"h": 1}});
    let sent = world.send(ROOM, &body).await;
    assert_eq!(seen(&sent), (201, "stored"));
    let message = json_of(&sent);
    let serial = message["serial"].as_str().unwrap();
    let update = json!({"message": {"text": "ho"}, "description": "typo", "metadata": {"x": "y"}});
    assert_eq!(seen(&world.change(ROOM, serial, &update).await), (201, "stored"));
    let deleted = world.change(ROOM, serial, &json!({"description": "gone"})).await;
    assert_eq!((seen(&deleted), deleted.archive), ((201, "stored"), Some(Archive::Stored)));
    let rows = world.engine.rows().await;
    let texts: Vec<_> = rows.iter().map(|row| row["text"].as_s().unwrap().as_str()).collect();
    assert_eq!(texts, ["", "hi", "ho", ""], "the latest version, and each of them");
    // The integration delivers the same later.
    for (number, version) in world.ably.versions(ROOM).iter().enumerate() {
        let id = format!("later {number}");
        let report = send(&world.publish.ingest.sink, &id, &delivered(ROOM, version)).await;
        assert_eq!((report.superseded, report.failed.len()), (1, 0));
    }
    assert_eq!(world.engine.rows().await, rows);
    assert_eq!((world.parked().len(), world.rooms.messages().len()), (0, 0));
}

#[tokio::test]
async fn a_message_is_the_same_by_either_way() {
    let (ours, theirs) = (World::start().await, World::start().await);
    let body = json!({"text": "q\"é🙂\u{0}", "metadata": {"b": 1e300, "a": "\u{ffff}"}});
    let message = json_of(&ours.send("r", &body).await);
    let serial = message["serial"].as_str().unwrap();
    ours.change("r", serial, &json!({"message": {"text": "b", "headers": {"h": true}}})).await;
    ours.change("r", serial, &json!({})).await;
    for version in ours.ably.versions("r") {
        send(&theirs.publish.ingest.sink, "x", &delivered("r", &version)).await;
    }
    assert_eq!(ours.engine.rows().await, theirs.engine.rows().await);
}

#[tokio::test]
async fn a_request_goes_as_it_came_and_only_what_is_for_ably() {
    let world = World::start().await;
    let uri = format!("{}?idempotencyKey=a%2Bb&envelope=json&rnd=1", path(ROOM, ""));
    let body = json!({"text": "hi"});
    let first = world.ask(request("POST", &uri, &body), ROOM, Operation::Send, AMPLE).await;
    let again = world.ask(request("POST", &uri, &body), ROOM, Operation::Send, AMPLE).await;
    assert_eq!((seen(&again), &again.body), ((201, "stored"), &first.body));
    assert_eq!(world.ably.versions(ROOM).len(), 1);
    let headers = &world.ably.published_with()[0];
    assert_eq!(headers["x-ably-version"], "4");
    assert_eq!(
        (headers["ably-agent"].as_str(), headers["accept"].as_str()),
        ("test/1", "application/json")
    );
    assert!(!headers.contains_key("cookie"));
    let other = request("POST", "/keys/aB3dEf.k/requestToken?a=%20&format=msgpack", &json!({}));
    let other = world.ask(other, "", Operation::Other, AMPLE).await;
    let echoed = json!({"method": "POST", "path": ["keys", "aB3dEf.k", "requestToken"],
                        "query": {"a": " "}});
    assert_eq!((seen(&other), json_of(&other)), ((200, ""), echoed));
    let reaction = request("POST", &path(ROOM, "/1/reactions"), &json!({"type": "distinct"}));
    assert_eq!(seen(&world.ask(reaction, ROOM, Operation::Reaction, AMPLE).await), (201, ""));
    assert_eq!(world.engine.rows().await.len(), 2);
}

#[tokio::test]
async fn what_ably_refuses_goes_back_unchanged_and_nothing_is_stored() {
    let world = World::start().await;
    world.ably.forbid("r");
    let refused = world.send("r", &json!({"text": "hi"})).await;
    assert_eq!((seen(&refused), code(&refused)), ((401, ""), 40_160));
    assert_eq!(refused.headers["x-ably-errormessage"], "action not permitted");
    world.ably.next(&path("s", ""), testkit::Once::Detail(422, 42_211, r#"{"why":"rude"}"#));
    let refused = world.send("s", &json!({"text": "hi"})).await;
    assert_eq!((seen(&refused), code(&refused)), ((422, ""), 42_211));
    assert_eq!(json_of(&refused)["error"]["detail"], json!({"why": "rude"}));
    assert_eq!(code(&world.send("s", &json!({})).await), 40_001);
    assert_eq!(code(&world.change("s", "1", &json!({})).await), 40_400);
    assert_eq!((world.engine.rows().await.len(), world.rooms.messages().len()), (0, 0));
}

#[tokio::test]
async fn credentials_of_another_app_publish_nothing_here() {
    let world = World::start().await;
    let (body, uri) = (json!({"text": "hi"}), path("r", ""));
    for authorization in ["", "Bearer other.token", "Basic b3RoZXIua2V5OnNlY3JldA=="] {
        let mut request = request("POST", &uri, &body);
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        let refused = world.ask(request, "r", Operation::Send, AMPLE).await;
        assert_eq!((refused.status.as_u16(), code(&refused)), (401, 40_101));
    }
    let uri = format!("{uri}?key=other.key:secret");
    let refused = world.ask(request("POST", &uri, &body), "r", Operation::Send, AMPLE).await;
    assert_eq!(code(&refused), 40_101);
    assert_eq!(world.ably.requests()[0], 0);
}

#[tokio::test]
async fn rooms_that_are_not_kept_are_published_all_the_same() {
    let world = World::with(|publish| publish.ingest.sink.room_filter = only("^kept$")).await;
    assert_eq!(seen(&world.send("other", &json!({"text": "hi"})).await), (201, "skipped"));
    assert_eq!(seen(&world.send("kept", &json!({"text": "hi"})).await), (201, "stored"));
    assert_eq!(world.engine.rows().await.len(), 2);
}

#[tokio::test]
async fn what_the_table_does_not_take_is_parked_in_the_form_of_a_delivery() {
    let world = World::start().await;
    world.set_table_down(true);
    let body = request("POST", &path("r", ""), &json!({"text": "hi", "metadata": {"a": 1}}));
    let sent = world.ask(body, "r", Operation::Send, Duration::from_secs(3)).await;
    assert_eq!(seen(&sent), (201, "parked"));
    let parked = world.parked().remove(0);
    assert_eq!(parked["parked"]["source"], "publish");
    assert_eq!(parked["parked"]["errorType"], "Retryable");
    world.set_table_down(false);
    let body = parked["body"].as_str().unwrap();
    let decoder = Decoder { app_id: Some(APP.into()), cipher_key: None };
    assert_eq!(decoder.decode(body.as_bytes()).unwrap().len(), 1);
    send(&world.publish.ingest.sink, "redriven", body.as_bytes()).await;
    let rows = world.engine.rows().await;
    let version = world.ably.versions("r").remove(0);
    let report = send(&world.publish.ingest.sink, "later", &delivered("r", &version)).await;
    assert_eq!((report.superseded, world.engine.rows().await), (1, rows));
}
