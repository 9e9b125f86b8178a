//! JWTs.

use std::time::Duration;

use super::*;

async fn code(token: &str) -> u32 {
    let gate = gate(KEYS, None, false);
    match refusal(&gate, Sent::bearer(token)).await {
        (401, code) => code,
        admitted => {
            assert_eq!(admitted, (0, 0));
            0
        }
    }
}

#[tokio::test]
async fn a_jwt_of_a_key_opens() {
    let gate = gate(KEYS, Some("app"), false);
    let token = token(&json!({}));
    let caller = Sent::bearer(&token).through(&gate, None, NOW * 1_000).await.unwrap();
    assert_eq!(caller, Caller { client_id: None, key_name: "app.one".into() });
    let sent = Sent::bearer(&STANDARD.encode(&token));
    assert_eq!(refusal(&gate, sent).await, (0, 0), "in base64, as SDKs send it");
    let sent = Sent::new(&format!("bearer  {} ", URL_SAFE_NO_PAD.encode(&token)));
    assert_eq!(refusal(&gate, sent).await, (0, 0));
}

/// As an example of Ably's makes it in PHP.
#[tokio::test]
async fn the_other_base64_alphabet_with_padding_is_verified_as_sent() {
    let room = json!({"ably.room.r": "ÿ~~~?>>>", "x-ably-clientId": "é"});
    let header = STANDARD.encode(header("app.one").to_string());
    let claims = STANDARD.encode(claims(&room).to_string());
    let text = format!("{header}.{claims}");
    let signature = STANDARD.encode(mac(&text, SECRET));
    assert!(text.contains('=') && signature.ends_with('='));
    assert_eq!(code(&format!("{text}.{signature}")).await, 0);
    let unpadded = text.replace('=', "");
    assert_eq!(code(&format!("{unpadded}.{signature}")).await, 40_101, "another text was signed");
}

#[tokio::test]
async fn hs256_alone_is_taken() {
    let claims = claims(&json!({}));
    let algorithms = [
        json!("none"),
        json!("None"),
        json!("RS256"),
        json!("ES256"),
        json!("HS512"),
        json!("hs256"),
        json!(null),
        json!(["HS256"]),
        json!(""),
    ];
    for alg in algorithms {
        let header = json!({"alg": alg, "kid": "app.one"});
        assert_eq!(code(&sign(&header, &claims, SECRET)).await, 40_101, "{header}");
    }
    for alg in ["none", "HS256"] {
        let token = sign(&json!({"alg": alg, "kid": "app.one"}), &claims, SECRET);
        let (text, _) = token.rsplit_once('.').unwrap();
        assert_eq!(code(&format!("{text}.")).await, 40_101, "{alg} without a signature");
    }
    let critical = json!({"alg": "HS256", "kid": "app.one", "crit": ["b64"], "b64": false});
    assert_eq!(code(&sign(&critical, &claims, SECRET)).await, 40_101);
}

#[tokio::test]
async fn kid_iat_and_exp_are_required() {
    let no_kid = json!({"alg": "HS256"});
    assert_eq!(code(&sign(&no_kid, &claims(&json!({})), SECRET)).await, 40_101);
    for claims in [json!({"exp": NOW + 60}), json!({"iat": NOW}), json!({}), json!([]), json!(null)]
    {
        assert_eq!(code(&sign(&header("app.one"), &claims, SECRET)).await, 40_101, "{claims}");
    }
    for wrong in [json!({"exp": "1800003600"}), json!({"iat": null}), json!({"exp": true})] {
        assert_eq!(code(&token(&wrong)).await, 40_101, "{wrong}");
    }
}

#[tokio::test]
async fn the_signature_is_that_of_the_named_key() {
    let claims = claims(&json!({}));
    assert_eq!(code(&sign(&header("app.one"), &claims, "s3cret-two")).await, 40_101);
    assert_eq!(code(&sign(&header("app.two"), &claims, SECRET)).await, 40_101);
    assert_eq!(code(&sign(&header("app.three"), &claims, SECRET)).await, 40_130);
    assert_eq!(code(&sign(&header("one"), &claims, SECRET)).await, 40_130);
    let signed = token(&json!({"x-ably-clientId": "bob"}));
    let other = token(&json!({"x-ably-clientId": "eve"}));
    let (text, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = signed.rsplit_once('.').unwrap();
    assert_eq!(code(&format!("{text}.{signature}")).await, 40_101);
    let shorter: String = signature.chars().take(22).collect();
    let (text, _) = signed.rsplit_once('.').unwrap();
    assert_eq!(code(&format!("{text}.{shorter}")).await, 40_101);
}

/// Ably's secrets look like base64, and are not.
#[tokio::test]
async fn the_secrets_text_is_the_hmac_key() {
    let gate = gate("app.b64:c2VjcmV0", None, false);
    let sign = |secret: &str| Sent::bearer(&sign(&header("app.b64"), &claims(&json!({})), secret));
    assert_eq!(refusal(&gate, sign("c2VjcmV0")).await, (0, 0));
    assert_eq!(refusal(&gate, sign("secret")).await, (401, 40_101));
}

#[tokio::test]
async fn an_expired_token_has_a_code_of_its_own_after_a_minute_of_skew() {
    for (exp, expected) in [(NOW - 59, 0), (NOW - 60, 40_142), (NOW - 7_200, 40_142)] {
        assert_eq!(code(&token(&json!({"iat": exp - 60, "exp": exp}))).await, expected, "{exp}");
    }
    let forged = sign(&header("app.one"), &json!({"iat": 1, "exp": 2}), "wrong");
    assert_eq!(code(&forged).await, 40_101, "no new token mends a wrong signature");
}

#[tokio::test]
async fn a_token_is_not_from_the_future() {
    for (iat, expected) in [(NOW + 60, 0), (NOW + 61, 40_101)] {
        assert_eq!(code(&token(&json!({"iat": iat}))).await, expected, "{iat}");
    }
    let in_ms = json!({"iat": NOW * 1_000, "exp": NOW * 1_000 + 3_600});
    assert_eq!(code(&token(&in_ms)).await, 40_101);
}

#[tokio::test]
async fn a_token_lives_a_day_at_most() {
    for (life, expected) in [(86_400, 0), (86_401, 40_101), (-1, 40_101)] {
        assert_eq!(code(&token(&json!({"iat": NOW, "exp": NOW + life}))).await, expected, "{life}");
    }
    let parts_of_seconds = json!({"iat": 1_799_999_999.5, "exp": 1_800_000_001.25});
    assert_eq!(code(&token(&parts_of_seconds)).await, 0);
}

#[tokio::test]
async fn rights_are_those_that_token_and_key_have() {
    let gate = gate(KEYS, None, false);
    let sent = |kid: &str, secret: &str, capability: &str| {
        let claims = claims(&json!({"x-ably-capability": capability}));
        Sent::bearer(&sign(&header(kid), &claims, secret))
    };
    let one = sent("app.one", SECRET, r#"{"a:*":["history"],"b":["subscribe"]}"#);
    assert_eq!(refusal(&gate, one.clone().to("a:1")).await, (0, 0));
    assert_eq!(refusal(&gate, one.to("b")).await, (401, 40_160));
    let two = sent("app.two", "s3cret-two", r#"{"*":["*"]}"#);
    assert_eq!(refusal(&gate, two.clone().to("support:1")).await, (0, 0));
    assert_eq!(refusal(&gate, two.to("r")).await, (401, 40_160));
    for nothing in [r"{}", r#"{"billing":["history"]}"#] {
        let sent = sent("app.two", "s3cret-two", nothing);
        assert_eq!(refusal(&gate, sent.to("support:1")).await, (401, 40_160), "no overlap");
    }
    let keys_own = Sent::bearer(&sign(&header("app.two"), &claims(&json!({})), "s3cret-two"));
    assert_eq!(refusal(&gate, keys_own.clone().to("support:1")).await, (0, 0));
    assert_eq!(refusal(&gate, keys_own.to("sales")).await, (401, 40_160));
}

#[tokio::test]
async fn a_capability_is_a_string_of_json() {
    for wrong in [json!({"*": ["*"]}), json!(null), json!(""), json!("*"), json!("[]"), json!(1)] {
        assert_eq!(code(&token(&json!({"x-ably-capability": wrong}))).await, 40_101, "{wrong}");
    }
}

#[tokio::test]
async fn a_tokens_client_is_its_own_or_any_or_none() {
    let gate = gate(KEYS, None, false);
    let of = |claim: Value| Sent::bearer(&token(&json!({"x-ably-clientId": claim})));
    assert_eq!(client(&gate, of(json!("ana"))).await.as_deref(), Some("ana"));
    assert_eq!(client(&gate, of(json!("ana")).by("ana")).await.as_deref(), Some("ana"));
    assert_eq!(client(&gate, of(json!("*")).by_query("bob")).await.as_deref(), Some("bob"));
    assert_eq!(client(&gate, of(json!("*"))).await, None);
    assert_eq!(client(&gate, of(json!(null))).await, None);
    let wrong = [
        of(json!("ana")).by("bob"),
        of(json!("ana")).by_query("bob"),
        of(json!("ana")).by("Ana"),
        of(json!("*")).by("*"),
        of(json!(null)).by("ana"),
        of(json!("")).by("ana"),
        Sent::bearer(&token(&json!({}))).by("ana"),
    ];
    for sent in wrong {
        assert_eq!(refusal(&gate, sent).await, (400, 40_012));
    }
    assert_eq!(refusal(&gate, of(json!(7))).await, (401, 40_101));
}

#[tokio::test]
async fn other_claims_have_no_say() {
    let others = json!({"ably.room.r": "moderator", "ably.channel.x": "y", "ably.limits.publish": 1,
        "x-ably-revocation-key": "k", "x-ably-clientType": "t", "sub": "s", "nbf": NOW});
    assert_eq!(code(&token(&others)).await, 0);
}

#[tokio::test]
async fn what_ably_alone_can_read_is_refused_with_the_way_out() {
    let in_claims = token(&json!({"x-ably-token": "app.s3cret"}));
    let header = json!({"alg": "RS256", "x-ably-token": "app.s3cret"});
    let in_header = sign(&header, &json!({}), "anybody");
    for token in ["app.s3cret", &in_claims, &in_header] {
        let gate = gate(KEYS, None, false);
        let error = Sent::bearer(token).through(&gate, None, NOW * 1_000).await.unwrap_err();
        assert_eq!((error.status, error.code), (401, 40_101));
        assert!(error.message.contains("JWT") && error.message.contains("HISTORY_ASK_ABLY=on"));
    }
}

/// ably-js issue 2193.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_repeated_without_end_is_refused_otherwise() {
    let gate = gate(KEYS, None, false);
    let expired = || Sent::bearer(&token(&json!({"exp": NOW - 60, "iat": NOW - 120})));
    for _ in 0..10 {
        assert_eq!(refusal(&gate, expired()).await, (401, 40_142));
    }
    assert_eq!(refusal(&gate, expired()).await, (429, 42_910));
    let other = Sent::bearer(&token(&json!({"exp": NOW - 61, "iat": NOW - 120})));
    assert_eq!(refusal(&gate, other).await, (401, 40_142));
    assert_eq!(refusal(&gate, Sent::bearer(&token(&json!({})))).await, (0, 0));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(refusal(&gate, expired()).await, (401, 40_142));
}
