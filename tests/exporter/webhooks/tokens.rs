//! Webhooks that Ably does not sign.

use serde_json::json;

use crate::common::function::sample;
use crate::common::sources::{TOKEN, request};
use crate::webhooks::signed::{BODY, BY_FIRST, KEYS, signed, statuses};

#[tokio::test]
async fn what_ably_does_not_sign_needs_the_token() {
    let body = String::from_utf8(sample("create")).expect("UTF-8");
    let with = |token: &str| request(body.as_bytes(), &[("x-webhook-token", token)]);
    let next = "the-next-token-of-16-or-more";
    let mut signed_wrongly = with(TOKEN);
    signed_wrongly["headers"]["x-ably-signature"] = json!(BY_FIRST);
    signed_wrongly["headers"]["x-ably-key"] = json!("key-1");
    let requests = [
        with(TOKEN),
        with(next),
        with(TOKEN.trim_start_matches("a-")),
        with(&format!("{TOKEN}x")),
        with(&TOKEN.to_uppercase()),
        with(&format!("{TOKEN},{next}")),
        with(""),
        request(body.as_bytes(), &[]),
        signed_wrongly,
    ];
    let tokens = format!("{TOKEN} {next}");
    let settings = [("WEBHOOK_KEYS", KEYS), ("WEBHOOK_TOKEN", tokens.as_str())];
    let (found, engine, ..) = statuses(&settings, &requests).await;
    assert_eq!(found, [200, 200, 401, 401, 401, 401, 401, 401, 401]);
    assert_eq!(engine.rows().await.len(), 2);
    let signed = signed("key-1", BY_FIRST, BODY);
    let (found, ..) = statuses(&[("WEBHOOK_TOKEN", TOKEN)], &[signed]).await;
    assert_eq!(found, [401], "there is no key to verify it by");
}

#[tokio::test]
async fn with_neither_keys_nor_token_everything_is_refused() {
    let requests = [
        signed("key-1", BY_FIRST, BODY),
        request(BODY.as_bytes(), &[("x-webhook-token", "")]),
        request(BODY.as_bytes(), &[("x-webhook-token", TOKEN)]),
    ];
    let (statuses, engine, _, log) = statuses(&[], &requests).await;
    assert_eq!(statuses, [401; 3]);
    assert_eq!(engine.rows().await, []);
    assert!(log.contains("neither WEBHOOK_KEYS nor WEBHOOK_TOKEN is set"), "{log}");
}
