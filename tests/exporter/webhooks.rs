//! Who may send webhooks. The signatures were made by OpenSSL and not by this program:
//! `printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -binary | base64`.

use std::slice;
use std::time::Duration;

use crate::common::function::{TIMEOUT, sample, spawn};
use crate::common::sources::{TOKEN, request};
use ably_chat_exporter::ably::WebhookTokens;
use ably_chat_exporter::secret::{Secret, SecretSource};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use serde_json::{Value, json};
use testkit::{Answer, Engine, RuntimeApi, Services};

const BODY: &str = r#"{"items":[{"webhookId":"w","source":"channel.message","serial":"s:1","timestamp":1767225600000,"name":"channel.message","data":{"channelId":"r::$chat","site":"eu-west-1-A","messages":[{"name":"chat.message","serial":"1","timestamp":1767225600000,"action":0,"data":{"text":"grüße 🙂"}}]}}]}"#;
/// The first key's secret reads like base64, and is not to be decoded; the second's holds a colon.
const KEYS: &str =
    "aB3dEf.key-1:c2VjcmV0LW9mLXRoZS1maXJzdC1rZXk=, aB3dEf.key-2:second:with_a-colon";
const BY_FIRST: &str = "L5slAYY3snZs5OTncOL+KhCtzqxdQXBW21ai8bfWqAU=";
const BY_SECOND: &str = "bTOYCHuo5bGpvRPhjQOdxtV0YTFyFrXG6PmuIic2jCs=";
const BY_FIRST_DECODED: &str = "No1vbRq+8VmYQag1e6HUE1ok5GLFa9rUuBKfKGoLkeY=";

/// A function with these settings, and the statuses it answers these requests with.
async fn statuses(
    settings: &[(&str, &str)],
    requests: &[Value],
) -> (Vec<i64>, Engine, RuntimeApi, String) {
    let (engine, api) = (Engine::start().await, RuntimeApi::start().await);
    let function = spawn(&api, &engine.env(), settings);
    let mut statuses = Vec::new();
    for request in requests {
        let Answer::Response(response) = api.invoke(request.to_string(), TIMEOUT).await else {
            panic!("an error")
        };
        statuses.push(response["statusCode"].as_i64().expect("a status"));
    }
    let log = function.kill().await;
    (statuses, engine, api, log)
}

fn signed(key: &str, signature: &str, body: &str) -> Value {
    request(body.as_bytes(), &[("x-ably-key", key), ("x-ably-signature", signature)])
}

#[tokio::test]
async fn a_signature_of_any_configured_key_over_the_very_bytes_is_taken() {
    let without_padding = BY_FIRST.trim_end_matches('=');
    let mut as_text = signed("aB3dEf.key-2", BY_SECOND, "");
    as_text["body"] = json!(BODY);
    as_text["isBase64Encoded"] = json!(false);
    let mut other_case = signed("", "", BODY);
    other_case["headers"] = json!({"X-ABLY-KEY": "key-1", "X-Ably-Signature": BY_FIRST});
    let mut multi_value = signed("", "", BODY);
    multi_value["headers"] = json!(null);
    multi_value["multiValueHeaders"] =
        json!({"X-Ably-Key": ["key-1"], "X-Ably-Signature": [BY_FIRST]});
    let requests = [
        signed("aB3dEf.key-1", BY_FIRST, BODY),
        signed("key-1", BY_FIRST, BODY),
        signed("key-2", BY_SECOND, BODY),
        signed("key-1", without_padding, BODY),
        as_text,
        other_case,
        multi_value,
    ];
    let (statuses, engine, ..) = statuses(&[("WEBHOOK_KEYS", KEYS)], &requests).await;
    assert_eq!(statuses, [200; 7], "the second to the last are replays, and do no harm");
    let rows = engine.rows().await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["text"].as_s().unwrap(), "grüße 🙂");
}

#[tokio::test]
async fn any_other_signature_is_refused_and_nothing_is_decoded() {
    let spaced = BODY.replace(":{", ": {");
    let escaped = BODY.replace("ü", "\\u00fc");
    let tampered = BODY.replace("grüße", "Grüße");
    let (first, second) = ("aB3dEf.key-1", "aB3dEf.key-2");
    let requests = [
        signed(first, BY_SECOND, BODY),
        signed(second, BY_FIRST, BODY),
        signed("other.key-1", BY_FIRST, BODY),
        signed("key-3", BY_FIRST, BODY),
        signed("aB3dEf", BY_FIRST, BODY),
        signed("", BY_FIRST, BODY),
        signed(first, BY_FIRST, &tampered),
        signed(first, BY_FIRST, &spaced),
        signed(first, BY_FIRST, &escaped),
        signed(first, BY_FIRST, &format!("{BODY}\n")),
        signed(first, BY_FIRST_DECODED, BODY),
        signed(first, BY_FIRST.trim_end_matches("fWqAU="), BODY),
        signed(first, "", BODY),
        signed(first, "not base64!", BODY),
        signed(second, BY_SECOND, ""),
        request(BODY.as_bytes(), &[("x-ably-key", first)]),
        request(BODY.as_bytes(), &[]),
        request(BODY.as_bytes(), &[("authorization", BY_FIRST)]),
        request(b"not even JSON", &[]),
    ];
    let settings = [("WEBHOOK_KEYS", KEYS), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")];
    let (statuses, engine, _, log) = statuses(&settings, &requests).await;
    assert_eq!(statuses, [401; 19]);
    assert_eq!(engine.rows().await, []);
    assert_eq!(log.lines().filter(|line| line.contains("request refused")).count(), 19);
    for secret in ["c2VjcmV0", "with_a-colon", "ingested", BY_FIRST, BY_SECOND, "grüße"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

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

#[tokio::test]
async fn secrets_are_read_from_where_they_are_kept() {
    let keys = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/webhook-keys";
    let token = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chat-token-AbCdEf";
    let (engine, services, api) =
        (Engine::start().await, Services::start().await, RuntimeApi::start().await);
    let env = [engine.env(), services.env()].concat();
    let settings = [("WEBHOOK_KEYS", keys), ("WEBHOOK_TOKEN", token), ("AWS_MAX_ATTEMPTS", "1")];
    let function = spawn(&api, &env, &settings);
    let send = async |request: Value| match api.invoke(request.to_string(), TIMEOUT).await {
        Answer::Response(response) => response["statusCode"].as_i64().expect("a status"),
        Answer::Error(error) => panic!("{error}"),
    };
    api.wait_for_poll(1).await;
    assert_eq!(services.secret_reads(), 0, "they cost the start nothing");
    let by_key = signed("key-1", BY_FIRST, BODY);
    let by_token = request(BODY.as_bytes(), &[("x-webhook-token", TOKEN)]);
    assert_eq!(send(by_key.clone()).await, 503, "Ably is to send it again");
    services.set_secret(keys, "wrong");
    assert_eq!(send(by_key.clone()).await, 503);
    services.set_secret(keys, KEYS);
    services.set_secret(token, TOKEN);
    let reads = services.secret_reads();
    for _ in 0..3 {
        assert_eq!(send(by_key.clone()).await, 200);
        assert_eq!(send(by_token.clone()).await, 200);
    }
    assert_eq!(send(signed("key-1", BY_SECOND, BODY)).await, 401);
    assert_eq!(services.secret_reads() - reads, 2, "each is read once");
    let log = function.kill().await;
    assert!(log.contains(&format!("ssm:GetParameter on {keys}: ParameterNotFound")), "{log}");
    assert!(!log.contains("c2VjcmV0") && !log.contains(TOKEN), "{log}");
}

fn sdk(services: &Services) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("local"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "l", "l", None, None, "l",
        )))
        .endpoint_url(&services.endpoint)
        .build()
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_changed_secret_is_known_soon_and_wrong_ones_cost_few_reads() {
    let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/webhook-token";
    let services = Services::start().await;
    services.set_secret(arn, "the-first-token-of-all");
    let source = SecretSource::parse(arn).expect("an ARN of SSM");
    let secret = Secret::new(source, WebhookTokens::parse, sdk(&services));
    let check = async |token: &'static str| {
        secret.check(|tokens: &WebhookTokens| tokens.contain(token)).await
    };
    assert_eq!(check("the-first-token-of-all").await, Ok(true));
    services.set_secret(arn, "the-second-token-of-all");
    for _ in 0..100 {
        assert_eq!(check("the-second-token-of-all").await, Ok(false));
    }
    assert_eq!(services.secret_reads(), 1);
    pass(Duration::from_secs(31)).await;
    assert_eq!(check("the-first-token-of-all").await, Ok(true), "it may still be on its way");
    assert_eq!(check("the-second-token-of-all").await, Ok(true));
    assert_eq!(check("the-first-token-of-all").await, Ok(false));
    assert_eq!(services.secret_reads(), 2);

    services.set_secret(arn, "short");
    pass(Duration::from_secs(301)).await;
    assert_eq!(check("the-second-token-of-all").await, Ok(true), "a spoilt one replaces nothing");
    services.set_secret(arn, "the-third-token-of-all");
    // It is left alone for a while. Nobody can say meanwhile that the token is wrong: Ably is to send
    // it again (503), and not to drop it (401).
    assert!(check("the-third-token-of-all").await.is_err());
    pass(Duration::from_secs(31)).await;
    assert_eq!(check("the-third-token-of-all").await, Ok(true));
}

/// Each request used to wait for the service's answer for five seconds.
#[tokio::test]
async fn regression_a_service_that_hangs_does_not_hold_up_each_webhook() {
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chat-token-AbCdEf";
    let services = Services::start().await;
    services.set_secret(arn, TOKEN);
    let source = SecretSource::parse(arn).expect("an ARN of Secrets Manager");
    let secret = Secret::new(source, WebhookTokens::parse, sdk(&services));
    let check = async |token: &'static str| {
        secret.check(|tokens: &WebhookTokens| tokens.contain(token)).await
    };
    let both = tokio::join!(check(TOKEN), check(TOKEN));
    assert_eq!((both, services.secret_reads()), ((Ok(true), Ok(true)), 1), "one fetch for both");
    services.set_secrets_hanging(true);
    for time in [Duration::from_secs(301), Duration::from_secs(31)] {
        pass(time).await;
        let started = std::time::Instant::now();
        for _ in 0..20 {
            assert_eq!(check(TOKEN).await, Ok(true));
            assert!(check("a-token-that-nobody-knows").await.is_err(), "it may be the new one");
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    // Two fetches of two attempts at most.
    assert!((3..=5).contains(&services.secret_reads()), "{}", services.secret_reads());
    services.set_secrets_hanging(false);
    pass(Duration::from_secs(31)).await;
    let reads = services.secret_reads();
    assert_eq!(check(TOKEN).await, Ok(true));
    assert_eq!(services.secret_reads() - reads, 1);
}

/// An item of a batch does not say whose it is; the key that signed it does.
#[tokio::test]
async fn regression_a_batch_of_another_app_is_refused_by_the_key_that_signed_it() {
    let request = signed("key-1", BY_FIRST, BODY);
    for (app, expected) in [("aB3dEf", 200), ("", 200), ("other", 400)] {
        let settings = [("WEBHOOK_KEYS", KEYS), ("ABLY_APP_ID", app)];
        let (found, engine, _, log) = statuses(&settings, slice::from_ref(&request)).await;
        assert_eq!(found, [expected], "{app}");
        assert_eq!(engine.rows().await.is_empty(), expected == 400, "{app}");
        assert_eq!(log.contains("ABLY_APP_ID"), expected == 400, "{log}");
    }
}
