//! Webhooks that Ably signs.

use std::slice;

use serde_json::json;

use crate::common::sources::request;
use crate::webhooks::signed::{
    BODY, BY_FIRST, BY_FIRST_DECODED, BY_SECOND, KEYS, signed, statuses,
};

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
