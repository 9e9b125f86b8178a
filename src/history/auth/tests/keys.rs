//! API keys, and what holds for all callers.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use testkit::Services;

use super::*;

#[tokio::test]
async fn without_credentials_nobody_reads() {
    let mut sent = Sent::basic("app.one:s3cret-one");
    sent.headers.clear();
    assert_eq!(refusal(&gate(KEYS, None, false), sent).await, (401, 40_101));
}

#[tokio::test]
async fn a_key_opens_with_its_secret_alone() {
    let gate = gate(KEYS, Some("app"), false);
    let caller = Sent::basic("app.one:s3cret-one").through(&gate, None, 0).await.unwrap();
    assert_eq!(caller, Caller { client_id: None, key_name: "app.one".into() });
    let codes = [
        ("app.one:s3cret-two", 40_101),
        ("app.one:s3cret-on", 40_101),
        ("app.one:", 40_101),
        ("app.one", 40_101),
        ("app.three:s3cret-one", 40_130),
        ("app:s3cret-one", 40_130),
        (":s3cret-one", 40_130),
    ];
    for (key, code) in codes {
        assert_eq!(refusal(&gate, Sent::basic(key)).await, (401, code), "{key}");
    }
}

#[tokio::test]
async fn a_key_is_taken_over_tls_only() {
    let gate = gate(KEYS, None, false);
    let sent = Sent::basic("app.one:s3cret-one");
    for plain in ["http", "HTTP", "http, https"] {
        let sent = sent.clone().with("x-forwarded-proto", plain);
        assert_eq!(refusal(&gate, sent).await, (401, 40_103), "{plain}");
    }
    assert_eq!(refusal(&gate, sent.with("x-forwarded-proto", "https")).await, (0, 0));
    let sent = Sent::bearer(&token(&json!({}))).with("x-forwarded-proto", "http");
    assert_eq!(refusal(&gate, sent).await, (0, 0));
}

#[tokio::test]
async fn a_key_has_its_capability() {
    let gate = gate(KEYS, None, false);
    let sent = Sent::basic("app.two:s3cret-two");
    assert_eq!(refusal(&gate, sent.clone().to("support:1")).await, (0, 0));
    assert_eq!(refusal(&gate, sent.clone().to("sales")).await, (401, 40_160));
    assert_eq!(refusal(&gate, sent.to("r")).await, (401, 40_160));
}

#[tokio::test]
async fn a_keys_client_may_be_anybody() {
    let gate = gate(KEYS, None, false);
    let sent = Sent::basic("app.one:s3cret-one");
    assert_eq!(client(&gate, sent.clone().by("ana")).await.as_deref(), Some("ana"));
    assert_eq!(client(&gate, sent.clone().by_query("ana é")).await.as_deref(), Some("ana é"));
    let both = sent.clone().by("ana").by_query("ana");
    assert_eq!(client(&gate, both).await.as_deref(), Some("ana"));
    assert_eq!(client(&gate, sent.by("").by_query("")).await, None);
}

#[tokio::test]
async fn a_client_id_is_one_name_in_its_form() {
    let gate = gate(KEYS, None, false);
    let sent = Sent::basic("app.one:s3cret-one");
    let wrong = [
        sent.clone().by("ana").by_query("bob"),
        sent.clone().by("*"),
        sent.clone().by_query("*"),
        sent.clone().with("x-ably-clientid", "not base64"),
        sent.with("x-ably-clientid", "/w=="),
    ];
    for sent in wrong {
        assert_eq!(refusal(&gate, sent).await, (400, 40_012));
    }
}

#[tokio::test]
async fn credentials_of_another_app_are_refused() {
    let gate = gate("app.k:s3cret-one,other.k:s3cret-one", Some("app"), false);
    assert_eq!(refusal(&gate, Sent::basic("app.k:s3cret-one")).await, (0, 0));
    assert_eq!(refusal(&gate, Sent::basic("other.k:s3cret-one")).await, (401, 40_101));
    let token = sign(&header("other.k"), &claims(&json!({})), SECRET);
    assert_eq!(refusal(&gate, Sent::bearer(&token)).await, (401, 40_101));
}

#[tokio::test(start_paused = true)]
async fn requests_with_a_key_and_its_tokens_have_a_rate() {
    let gate = gate(KEYS, None, false);
    for number in 0..200 {
        let sent = match number % 2 {
            0 => Sent::basic("app.one:s3cret-one"),
            _ => Sent::bearer(&token(&json!({}))),
        };
        assert_eq!(refusal(&gate, sent).await, (0, 0));
    }
    assert_eq!(refusal(&gate, Sent::bearer(&token(&json!({})))).await, (429, 42_910));
    let other = Sent::basic("app.two:s3cret-two").to("support:1");
    assert_eq!(refusal(&gate, other).await, (0, 0), "each key has its own");
    // Who has no key spends nothing of it.
    assert_eq!(refusal(&gate, Sent::basic("app.one:wrong")).await, (401, 40_101));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(refusal(&gate, Sent::basic("app.one:s3cret-one")).await, (0, 0));
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_not_the_callers_fault() {
    for sent in [Sent::basic("app.one:s3cret-one"), Sent::bearer(&token(&json!({})))] {
        assert_eq!(refusal(&gate("s3cret", None, false), sent).await, (503, 50_003));
    }
}

/// Reads a secret as a function does, from a stand-in.
fn sdk(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("id", "key", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

#[tokio::test]
async fn a_rotated_key_is_known_without_a_restart() {
    let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/history-keys";
    let services = Services::start().await;
    services.set_secret(arn, "app.one:s3cret-old");
    let source = SecretSource::parse(arn).unwrap();
    let keys = Secret::new(source, HistoryKeys::parse, sdk(&services.endpoint));
    let gate = Gate::new(keys, None, false);
    assert_eq!(refusal(&gate, Sent::basic("app.one:s3cret-old")).await, (0, 0));
    services.set_secret(arn, KEYS);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(refusal(&gate, Sent::bearer(&token(&json!({})))).await, (0, 0));
    assert_eq!(refusal(&gate, Sent::basic("app.one:s3cret-old")).await, (401, 40_101));
    let two = sign(&header("app.two"), &claims(&json!({})), "s3cret-two");
    assert_eq!(refusal(&gate, Sent::bearer(&two).to("support:1")).await, (0, 0));
    assert_eq!(services.secret_reads(), 2);
}
