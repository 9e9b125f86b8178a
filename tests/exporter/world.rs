//! The built function with a table, a failure queue and a token; payloads for it, and its answers.

use serde_json::{Value, json};
use testkit::{Answer, Engine, FunctionProcess, Item, RuntimeApi, Services};

use crate::common::EPOCH;
use crate::common::function::{TIMEOUT, spawn};
use crate::common::sources::{Source, TOKEN};

/// The built function with a table, a failure queue and a token.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) services: Services,
    pub(crate) api: RuntimeApi,
    pub(crate) function: FunctionProcess,
}

impl World {
    pub(crate) async fn start() -> Self {
        let engine = Engine::start().await;
        let endpoint = engine.endpoint.clone();
        Self::with(engine, &endpoint, true).await
    }

    pub(crate) async fn with(engine: Engine, endpoint: &str, has_failure_queue: bool) -> Self {
        let (services, api) = (Services::start().await, RuntimeApi::start().await);
        let env = [testkit::env(endpoint), services.env()].concat();
        let queue = if has_failure_queue { services.queue_url() } else { String::new() };
        let settings =
            [("WEBHOOK_TOKEN", TOKEN), ("FAILURE_QUEUE_URL", &queue), ("AWS_MAX_ATTEMPTS", "1")];
        let function = spawn(&api, &env, &settings);
        Self { engine, services, api, function }
    }

    pub(crate) async fn without_failure_queue() -> Self {
        let engine = Engine::start().await;
        let endpoint = engine.endpoint.clone();
        Self::with(engine, &endpoint, false).await
    }

    pub(crate) async fn send(&self, event: impl Into<Vec<u8>>) -> Answer {
        self.api.invoke(event.into(), TIMEOUT).await
    }

    pub(crate) fn parked(&self) -> Vec<Value> {
        let messages = self.services.messages();
        messages.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
    }

    pub(crate) async fn texts(&self) -> Vec<String> {
        let rows = self.engine.rows().await;
        let text = |row: &Item, name: &str| row[name].as_s().expect("a string").clone();
        let latest = rows.iter().filter(|row| text(row, "sk").starts_with("message#"));
        latest.map(|row| text(row, "text")).collect()
    }
}

/// A message with a text, and with these members.
pub(crate) fn message(serial: &str, members: &Value) -> Value {
    let mut message = json!({"name": "chat.message", "serial": serial, "timestamp": EPOCH,
                             "action": 0, "data": {"text": format!("text of {serial}")}});
    for (name, value) in members.as_object().expect("an object") {
        message[name] = value.clone();
    }
    message
}

/// What Ably sends of one message.
pub(crate) fn envelope(message: &Value) -> Vec<u8> {
    let envelope = json!({"source": "channel.message", "channel": "r::$chat",
                          "messages": [message]});
    envelope.to_string().into_bytes()
}

/// A message that can be stored.
pub(crate) fn good(serial: &str) -> Vec<u8> {
    envelope(&message(serial, &json!({})))
}

/// A message that can never be stored.
pub(crate) fn bad(serial: &str) -> Vec<u8> {
    envelope(&message(serial, &json!({"action": 77})))
}

/// A summary of reactions.
pub(crate) fn reactions(serial: &str, total: u64) -> Vec<u8> {
    let summary = json!({"reaction:distinct.v1": {"👍": {"total": total}}});
    envelope(&message(serial, &json!({"action": 4, "annotations": {"summary": summary}})))
}

/// What SQS and Kinesis are answered when these records failed.
pub(crate) fn failures(ids: &[&str]) -> Answer {
    let ids = ids.iter().map(|id| json!({"itemIdentifier": id}));
    Answer::Response(json!({"batchItemFailures": ids.collect::<Vec<_>>()}))
}

/// The status that a webhook is answered with.
pub(crate) fn status(answer: &Answer) -> &Value {
    match answer {
        Answer::Response(response) => &response["statusCode"],
        Answer::Error(error) => panic!("{error}"),
    }
}

/// What means "all is well" to a source.
pub(crate) fn assert_well(source: Source, answer: &Answer) {
    match source {
        Source::FunctionUrl => assert_eq!(status(answer), 200, "{answer:?}"),
        _ => assert_eq!(*answer, failures(&[]), "{source:?}"),
    }
}

/// How many reacted, by a row of current reactions.
pub(crate) fn total(row: &Item) -> &str {
    let path = ["distinct", "👍", "total"];
    let total = path.iter().fold(&row["reactions"], |value, name| {
        value.as_m().expect("a map").get(*name).expect("the member exists")
    });
    total.as_n().expect("a number")
}

/// What is sent again from the failure queue: everything that gets there.
pub(crate) fn redrive(world: &World) -> Value {
    let records = world.services.messages();
    let records = records.iter().enumerate().map(|(index, text)| {
        let mut record = Source::Sqs.record(index, text.as_bytes());
        let queue = format!("arn:aws:sqs:eu-west-1:123456789012:{}", Services::QUEUE);
        record["eventSourceARN"] = json!(queue);
        record
    });
    json!({"Records": records.collect::<Vec<_>>()})
}
