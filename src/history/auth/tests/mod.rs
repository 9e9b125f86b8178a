//! Each rule of who may read, at the gate; no refusal quotes what was sent.

mod asking;
mod keys;
mod noise;
mod tokens;

use aws_config::SdkConfig;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Caller, Gate, HistoryKeys, Operation, Request};
use crate::aws::secret::{Secret, SecretSource};
use crate::chat::RoomName;
use crate::history::error::ApiError;
use crate::history::upstream::Upstream;

/// The second may read rooms of support only.
const KEYS: &str = r#"[{"key":"app.one:s3cret-one"},
    {"key":"app.two:s3cret-two","capability":{"support:*":["history"],"sales":["publish"]}}]"#;
const SECRET: &str = "s3cret-one";
/// A second since 1970, which is the time of all requests.
const NOW: i64 = 1_800_000_000;

fn gate(keys: &str, app_id: Option<&str>, asks_ably: bool) -> Gate {
    let source = SecretSource::Text(keys.into());
    let keys = Secret::new(source, HistoryKeys::parse, SdkConfig::builder().build());
    Gate::new(keys, app_id.map(Into::into), asks_ably)
}

/// What a test sends.
#[derive(Clone)]
struct Sent {
    headers: HeaderMap,
    query_client_id: Option<String>,
    room: RoomName,
}

impl Sent {
    fn new(authorization: &str) -> Self {
        let sent =
            Self { headers: HeaderMap::new(), query_client_id: None, room: RoomName("r".into()) };
        sent.with("authorization", authorization)
    }

    fn basic(key: &str) -> Self {
        Self::new(&format!("Basic {}", STANDARD.encode(key)))
    }

    fn bearer(token: &str) -> Self {
        Self::new(&format!("Bearer {token}"))
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    fn by(self, client_id: &str) -> Self {
        self.with("x-ably-clientid", &STANDARD.encode(client_id))
    }

    fn by_query(self, client_id: &str) -> Self {
        Self { query_client_id: Some(client_id.into()), ..self }
    }

    fn to(self, room: &str) -> Self {
        Self { room: RoomName(room.into()), ..self }
    }

    async fn through(
        &self,
        gate: &Gate,
        upstream: Option<&Upstream>,
        now_ms: i64,
    ) -> Result<Caller, ApiError> {
        let request = Request {
            headers: &self.headers,
            query_client_id: self.query_client_id.as_deref(),
            room: &self.room,
            operation: Operation::History,
            now_ms,
        };
        let admitted = gate.admit(upstream, &request).await;
        if let Err(error) = &admitted {
            let text = error.to_string();
            assert!(!text.contains("s3cret") && !text.contains("ana"), "{text}");
        }
        admitted
    }
}

/// The status and code of the refusal; 0 and 0 of none.
async fn refusal(gate: &Gate, sent: Sent) -> (u16, u32) {
    let admitted = sent.through(gate, None, NOW * 1_000).await;
    admitted.map_or_else(|error| (error.status, error.code), |_| (0, 0))
}

async fn client(gate: &Gate, sent: Sent) -> Option<String> {
    sent.through(gate, None, NOW * 1_000).await.expect("a caller").client_id
}

/// A JWT's text, signed with HMAC-SHA-256 whatever its header says.
fn sign(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac(&text, secret)))
}

fn mac(text: &str, secret: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn header(kid: &str) -> Value {
    json!({"typ": "JWT", "alg": "HS256", "kid": kid})
}

/// Claims of a token of the last minute, for an hour; `more` is added or takes their place.
fn claims(more: &Value) -> Value {
    let mut claims = json!({"iat": NOW - 60, "exp": NOW + 3_540});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// A token that the first key signed.
fn token(more: &Value) -> String {
    sign(&header("app.one"), &claims(more), SECRET)
}
