//! What the function asks of AWS beside DynamoDB: `SendMessage` and `SendMessageBatch` of SQS,
//! `GetParameter` of SSM and `GetSecretValue` of Secrets Manager, in the SDKs' JSON protocols, with
//! SQS's limits on messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::server::Server;

/// SQS's limit on a message (SQS API Reference, "SendMessage").
const MAX_MESSAGE_BYTES: usize = 1_048_576;

#[derive(Default)]
struct Shared {
    /// The queue's messages.
    messages: Mutex<Vec<String>>,
    /// How long each is held back, in seconds.
    delays: Mutex<Vec<i64>>,
    /// Whether the queue refuses messages.
    is_queue_down: Mutex<bool>,
    /// Calls of the queue, and whether it takes but one message of each.
    queue_calls: Mutex<u64>,
    is_queue_slow: Mutex<bool>,
    /// Whether secrets are not answered.
    are_secrets_hanging: Mutex<bool>,
    /// Secrets and parameters by ARN, and how often they were asked for.
    secrets: Mutex<HashMap<String, String>>,
    reads: Mutex<u64>,
}

/// A stand-in on a free port of this machine; it ends when it is dropped.
pub struct Services {
    /// Where it listens, as `AWS_ENDPOINT_URL_SQS` takes it.
    pub endpoint: String,
    shared: Arc<Shared>,
    _server: Server,
}

impl Services {
    /// The queue's name.
    pub const QUEUE: &'static str = "failures";

    /// Starts a stand-in with an empty queue and no secrets.
    ///
    /// # Panics
    /// When this machine has no free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .route("/", post(answer))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let server = Server::start(router).await;
        Self { endpoint: format!("http://{}", server.address), shared, _server: server }
    }

    /// The environment by which a program finds the three services.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        ["SQS", "SSM", "SECRETS_MANAGER"]
            .map(|service| (format!("AWS_ENDPOINT_URL_{service}"), self.endpoint.clone()))
            .to_vec()
    }

    /// The queue's URL, as `FAILURE_QUEUE_URL` takes it.
    #[must_use]
    pub fn queue_url(&self) -> String {
        format!("{}/123456789012/{}", self.endpoint, Self::QUEUE)
    }

    /// What has been sent to the queue, in its order.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        lock(&self.shared.messages).clone()
    }

    /// How long each message is held back, in seconds.
    #[must_use]
    pub fn delays(&self) -> Vec<i64> {
        lock(&self.shared.delays).clone()
    }

    /// Whether the queue refuses messages from now on.
    pub fn set_queue_down(&self, is_down: bool) {
        *lock(&self.shared.is_queue_down) = is_down;
    }

    /// Whether the queue takes but one message of each call from now on, as if it throttled.
    pub fn set_queue_slow(&self, is_slow: bool) {
        *lock(&self.shared.is_queue_slow) = is_slow;
    }

    /// How often the queue has been called.
    #[must_use]
    pub fn queue_calls(&self) -> u64 {
        *lock(&self.shared.queue_calls)
    }

    /// Whether requests for secrets are taken and never answered from now on.
    pub fn set_secrets_hanging(&self, are_hanging: bool) {
        *lock(&self.shared.are_secrets_hanging) = are_hanging;
    }

    /// Sets what the parameter or secret with this ARN holds.
    pub fn set_secret(&self, arn: &str, text: &str) {
        lock(&self.shared.secrets).insert(arn.into(), text.into());
    }

    /// How often a parameter or secret has been asked for.
    #[must_use]
    pub fn secret_reads(&self) -> u64 {
        *lock(&self.shared.reads)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding this lock")
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return error("SerializationException");
    };
    match target {
        Some("AmazonSQS.SendMessage") => match send(&shared, &request) {
            Ok(id) => ok(&json!({"MessageId": id})),
            Err(kind) => error(kind),
        },
        Some("AmazonSQS.SendMessageBatch") => send_batch(&shared, &request),
        Some("AmazonSSM.GetParameter" | "secretsmanager.GetSecretValue")
            if *lock(&shared.are_secrets_hanging) =>
        {
            *lock(&shared.reads) += 1;
            std::future::pending().await
        }
        Some("AmazonSSM.GetParameter") => match read(&shared, &request["Name"]) {
            // A SecureString comes encrypted unless it is asked for in the clear.
            Some(value) if request["WithDecryption"] == true => {
                ok(&json!({"Parameter": {"Name": request["Name"], "Value": value}}))
            }
            Some(_) => ok(&json!({"Parameter": {"Name": request["Name"], "Value": "AQICAH…"}})),
            None => error("ParameterNotFound"),
        },
        Some("secretsmanager.GetSecretValue") => match read(&shared, &request["SecretId"]) {
            Some(value) => ok(&json!({"ARN": request["SecretId"], "SecretString": value})),
            None => error("ResourceNotFoundException"),
        },
        _ => error("UnknownOperationException"),
    }
}

fn send_batch(shared: &Shared, request: &Value) -> Response {
    *lock(&shared.queue_calls) += 1;
    let entries = request["Entries"].as_array().cloned().unwrap_or_default();
    let bytes = |entry: &Value| entry["MessageBody"].as_str().map_or(0, str::len);
    if *lock(&shared.is_queue_down) {
        return error("InternalError");
    }
    if entries.is_empty() || entries.len() > 10 {
        return error("TooManyEntriesInBatchRequest");
    }
    if entries.iter().map(bytes).sum::<usize>() > MAX_MESSAGE_BYTES {
        return error("BatchRequestTooLong");
    }
    let (mut sent, mut failed) = (Vec::new(), Vec::new());
    for entry in &entries {
        let id = &entry["Id"];
        let is_taken = sent.is_empty() || !*lock(&shared.is_queue_slow);
        let taken = if is_taken { send(shared, entry) } else { Err("RequestThrottled") };
        match taken {
            Ok(message) => {
                sent.push(json!({"Id": id, "MessageId": message, "MD5OfMessageBody": "0"}));
            }
            Err(kind) => failed.push(json!({"Id": id, "Code": kind, "SenderFault": false})),
        }
    }
    ok(&json!({"Successful": sent, "Failed": failed}))
}

/// The id of the message that is sent; or the kind of error.
fn send(shared: &Shared, request: &Value) -> Result<String, &'static str> {
    let Some(text) = request["MessageBody"].as_str().filter(|text| !text.is_empty()) else {
        return Err("InvalidParameterValueException");
    };
    let is_allowed = |c: char| {
        let is_space = matches!(c, '\t' | '\n' | '\r');
        is_space || matches!(c, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    };
    if *lock(&shared.is_queue_down) {
        return Err("InternalError");
    }
    if !text.chars().all(is_allowed) {
        return Err("InvalidMessageContents");
    }
    if text.len() > MAX_MESSAGE_BYTES {
        return Err("InvalidParameterValueException");
    }
    lock(&shared.delays).push(request["DelaySeconds"].as_i64().unwrap_or(0));
    let mut messages = lock(&shared.messages);
    messages.push(text.into());
    Ok(format!("message-{}", messages.len()))
}

fn read(shared: &Shared, arn: &Value) -> Option<String> {
    *lock(&shared.reads) += 1;
    lock(&shared.secrets).get(arn.as_str()?).cloned()
}

fn ok(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/x-amz-json-1.1")], body.to_string()).into_response()
}

fn error(kind: &str) -> Response {
    let body = json!({"__type": kind, "message": "no"}).to_string();
    let headers = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (StatusCode::BAD_REQUEST, headers, body).into_response()
}
