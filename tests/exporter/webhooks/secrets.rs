//! Keys and tokens that are kept in SSM and Secrets Manager.

use std::time::Duration;

use ably_chat_exporter::ably::WebhookTokens;
use ably_chat_exporter::aws::secret::{Secret, SecretSource};
use serde_json::Value;
use testkit::{Answer, Engine, RuntimeApi, Services};

use crate::common::function::{TIMEOUT, spawn};
use crate::common::sdk;
use crate::common::sources::{TOKEN, request};
use crate::webhooks::signed::{BODY, BY_FIRST, BY_SECOND, KEYS, signed};

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
    let secret = Secret::new(source, WebhookTokens::parse, sdk(&services.endpoint));
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
    // It is left alone for a while. Nobody can say meanwhile that the token is wrong: Ably is to
    // send it again (503), and not to drop it (401).
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
    let secret = Secret::new(source, WebhookTokens::parse, sdk(&services.endpoint));
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
