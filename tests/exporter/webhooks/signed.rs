//! A webhook's body and its signatures. They were made by OpenSSL and not by this program:
//! `printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -binary | base64`.

use serde_json::Value;
use testkit::{Answer, Engine, RuntimeApi};

use crate::common::function::{TIMEOUT, spawn};
use crate::common::sources::request;

pub(crate) const BODY: &str = concat!(
    r#"{"items":[{"webhookId":"w","source":"channel.message","serial":"s:1","#,
    r#""timestamp":1767225600000,"name":"channel.message","#,
    r#""data":{"channelId":"r::$chat","site":"eu-west-1-A","#,
    r#""messages":[{"name":"chat.message","serial":"1","#,
    r#""timestamp":1767225600000,"action":0,"data":{"text":"grüße 🙂"}}]}}]}"#
);

/// The first key's secret reads like base64, and is not to be decoded; the second's holds a colon.
pub(crate) const KEYS: &str =
    "aB3dEf.key-1:c2VjcmV0LW9mLXRoZS1maXJzdC1rZXk=, aB3dEf.key-2:second:with_a-colon";

pub(crate) const BY_FIRST: &str = "L5slAYY3snZs5OTncOL+KhCtzqxdQXBW21ai8bfWqAU=";

pub(crate) const BY_SECOND: &str = "bTOYCHuo5bGpvRPhjQOdxtV0YTFyFrXG6PmuIic2jCs=";

pub(crate) const BY_FIRST_DECODED: &str = "No1vbRq+8VmYQag1e6HUE1ok5GLFa9rUuBKfKGoLkeY=";

/// A function with these settings, and the statuses it answers these requests with.
pub(crate) async fn statuses(
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

pub(crate) fn signed(key: &str, signature: &str, body: &str) -> Value {
    request(body.as_bytes(), &[("x-ably-key", key), ("x-ably-signature", signature)])
}
