//! What a webhook is answered.

use serde_json::{Value, json};

use crate::common::function::sample;
use crate::common::sources::{TOKEN, request};
use crate::webhooks::signed::statuses;

#[tokio::test]
async fn statuses_say_who_is_at_fault() {
    let with = |body: &[u8]| request(body, &[("x-webhook-token", TOKEN)]);
    let mut get = with(b"");
    get["requestContext"]["http"]["method"] = json!("GET");
    let mut truncated = with(b"{}");
    truncated["body"] = json!("eyJ9x");
    let mut no_body = with(b"");
    no_body.as_object_mut().expect("an object").remove("body");
    let other_app = json!({"appId": "other", "channel": "r::$chat", "messages": []});
    let table = [
        (get, 405),
        (truncated, 400),
        (with(&sample("not-enveloped")), 400),
        (with(&sample("before-publish")), 400),
        (with(b"[]"), 400),
        (with(other_app.to_string().as_bytes()), 400),
        (with(&sample("presence")), 200),
        // Nothing is wrong with the rule: without a queue to park it in, it may come again.
        (with(b"{\"messages\":"), 500),
        (no_body, 500),
        (with(&sample("unknown-action")), 500),
    ];
    let requests: Vec<_> = table.iter().map(|(request, _)| request.clone()).collect();
    let settings = [("WEBHOOK_TOKEN", TOKEN), ("ABLY_APP_ID", "aB3dEf")];
    let (found, engine, api, _) = statuses(&settings, &requests).await;
    assert_eq!(found, table.map(|(_, status)| status));
    assert_eq!(engine.rows().await, []);
    let last: Value = serde_json::from_slice(&api.last_response()).expect("JSON");
    assert!(last["body"].as_str().unwrap().contains("unknown action 9"), "{last}");
}

#[tokio::test]
async fn refusals_of_a_method_say_which_is_allowed() {
    for (event, allow) in [
        ("alb", "/headers/allow"),
        ("alb-multi-value", "/multiValueHeaders/allow/0"),
        ("rest-api", "/headers/allow"),
    ] {
        let mut request: Value =
            serde_json::from_slice(&sample(&format!("deliveries/{event}"))).expect("JSON");
        request["httpMethod"] = json!("PUT");
        let (statuses, _, api, _) = statuses(&[("WEBHOOK_TOKEN", TOKEN)], &[request]).await;
        assert_eq!(statuses, [405]);
        let response: Value = serde_json::from_slice(&api.last_response()).expect("JSON");
        assert_eq!(response.pointer(allow), Some(&json!("POST")), "{response}");
        let is_alb = event.starts_with("alb");
        assert_eq!(response.get("statusDescription").is_some(), is_alb, "{response}");
    }
}
