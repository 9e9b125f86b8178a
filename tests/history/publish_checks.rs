//! Rules, and a hook: what may be published.

use std::time::Duration;

use ably_chat_exporter::history::publish::{Hook, HookAddress, Operation, Rules};
use axum::body::Bytes;
use serde_json::{Value, json};

use crate::common;
use crate::publish_world::{AMPLE, APP, World, code, json_of, path, request, seen};

async fn with_rules(rules: &str) -> World {
    let rules = Rules::parse(rules).expect("rules");
    World::with(|publish| publish.rules = Some(rules)).await
}

async fn with_hook() -> (World, testkit::Hook) {
    let server = testkit::Hook::start().await;
    let address = HookAddress::parse(&format!("{}/ask?x=1", server.endpoint)).expect("a URL");
    let hook = Hook::new(address, common::sdk(&server.endpoint)).expect("a client");
    (World::with(|publish| publish.hook = Some(hook)).await, server)
}

#[tokio::test]
async fn rules_refuse_before_anything_is_sent() {
    let rules = r#"{"maxLength":5,"rooms":["^r"],"banned":["rude"],"requiredMetadata":["t"]}"#;
    let world = with_rules(rules).await;
    let content = |text: &str| json!({"text": text, "metadata": {"t": 1}});
    let send = async |room: &str, body: &Value| {
        let sent = world.send(room, body).await;
        (sent.status.as_u16(), code(&sent))
    };
    assert_eq!(send("r", &content("too long")).await, (413, 40_009));
    assert_eq!(send("r", &content("RUDE")).await, (422, 42_211));
    assert_eq!(send("other", &content("hi")).await, (422, 42_211));
    assert_eq!(send("r", &json!({"text": "hi"})).await, (422, 42_211));
    assert_eq!(send("r", &json!({"text": 7})).await, (400, 40_001));
    let update = json!({"message": {"text": "rude", "metadata": {"t": 1}}});
    assert_eq!(code(&world.change("r", "1", &update).await), 42_211);
    assert_eq!(code(&world.change("other", "1", &json!({})).await), 42_211);
    assert_eq!(world.ably.requests()[0], 0);
    let sent = world.send("r", &content("hi")).await;
    assert_eq!(seen(&sent), (201, "stored"));
    let serial = json_of(&sent)["serial"].as_str().unwrap().to_owned();
    assert_eq!(seen(&world.change("r", &serial, &json!({})).await), (201, "stored"));
}

#[tokio::test]
async fn without_rules_nothing_is_parsed_and_too_large_is_too_large() {
    let world = World::start().await;
    let mut sent = request("POST", &path("r", ""), &json!({}));
    *sent.body_mut() = Bytes::from(vec![b'x'; 1_048_577]);
    let sent = world.ask(sent, "r", Operation::Send, AMPLE).await;
    assert_eq!((seen(&sent), code(&sent), world.ably.requests()[0]), ((413, ""), 40_009, 0));
    let mut sent = request("POST", &path("r", ""), &json!({}));
    *sent.body_mut() = Bytes::from_static(b"\xff");
    assert_eq!(code(&world.ask(sent, "r", Operation::Send, AMPLE).await), 40_001);
    assert_eq!(world.ably.requests()[0], 1, "Ably has said so");
}

#[tokio::test]
async fn a_hook_is_asked_as_ably_asks() {
    let (world, hook) = with_hook().await;
    let mut sent = request("POST", &path("r", ""), &json!({"text": "hi", "headers": {"h": 1}}));
    sent.headers_mut().insert("x-ably-clientid", "YW5h".parse().unwrap());
    let sent = world.ask(sent, "r", Operation::Send, AMPLE).await;
    assert_eq!(seen(&sent), (201, "stored"));
    let question = hook.questions().remove(0);
    assert_eq!((question.path.as_str(), question.headers.get("authorization")), ("/ask", None));
    let expected = json!({"source": "channel.message", "appId": APP, "room": "r",
        "ruleId": "ably-chat-history",
        "message": {"clientId": "ana", "text": "hi", "metadata": {}, "headers": {"h": 1}}});
    assert_eq!(question.body, expected);
    // Its message is published in the other's stead.
    let other = json!({"action": "accept", "message": {"text": "***", "metadata": {"m": 1}}});
    hook.reply(|reply| reply.body = other.to_string());
    let sent = json_of(&world.send("r", &json!({"text": "rude", "headers": {"h": 1}})).await);
    assert_eq!(
        (&sent["text"], &sent["metadata"], &sent["headers"]),
        (&json!("***"), &json!({"m": 1}), &json!({}))
    );
    let serial = sent["serial"].as_str().unwrap();
    let update = json!({"message": {"text": "rude"}, "description": "why"});
    let updated = json_of(&world.change("r", serial, &update).await);
    assert_eq!(
        (&updated["text"], &updated["version"]["description"]),
        (&json!("***"), &json!("why"))
    );
    world.change("r", serial, &json!({})).await;
    assert_eq!(hook.questions().len(), 3, "nobody is asked about a deletion");
}

#[tokio::test]
async fn a_hook_refuses_and_one_that_fails_lets_nothing_through() {
    let (world, hook) = with_hook().await;
    let send = async || world.send("r", &json!({"text": "hi"})).await;
    let body = json!({"action": "reject", "rejectionDetail": {"why": "rude"}});
    hook.reply(|reply| reply.body = body.to_string());
    let refused = send().await;
    assert_eq!((seen(&refused), code(&refused)), ((422, ""), 42_211));
    assert_eq!(json_of(&refused)["error"]["detail"], json!({"why": "rude"}));
    hook.reply(|reply| reply.body = "yes".into());
    assert_eq!(code(&send().await), 50_003);
    hook.reply(|reply| *reply = testkit::Reply { status: 500, ..accept() });
    assert_eq!(code(&send().await), 50_003);
    hook.reply(|reply| *reply = testkit::Reply { latency: Duration::from_secs(10), ..accept() });
    assert_eq!(code(&send().await), 50_003);
    assert_eq!(world.ably.requests()[0], 0);
    hook.reply(|reply| *reply = accept());
    assert_eq!(seen(&send().await), (201, "stored"));
}

#[tokio::test]
async fn a_function_is_asked_by_a_signed_request() {
    let server = testkit::Hook::start().await;
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:check:live";
    let address = HookAddress::parse(arn).expect("an ARN");
    let hook = Hook::new(address, common::sdk(&server.endpoint)).expect("a client");
    let world = World::with(|publish| publish.hook = Some(hook)).await;
    let body = json!({"statusCode": 200, "body": json!({"action": "accept"}).to_string()});
    server.reply(|reply| reply.body = body.to_string());
    assert_eq!(seen(&world.send("r", &json!({"text": "hi"})).await), (201, "stored"));
    let question = server.questions().remove(0);
    assert!(question.path.starts_with("/2015-03-31/functions/arn%3Aaws"), "{}", question.path);
    let signed = &question.headers["authorization"];
    assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=local/"), "{signed}");
    assert!(signed.contains("/eu-west-1/lambda/aws4_request, SignedHeaders=host;x-amz-date,"));
    server.reply(|reply| reply.is_function_error = true);
    assert_eq!(code(&world.send("r", &json!({"text": "hi"})).await), 50_003);
}

fn accept() -> testkit::Reply {
    let body = json!({"action": "accept"}).to_string();
    testkit::Reply { status: 200, body, is_function_error: false, latency: Duration::ZERO }
}
