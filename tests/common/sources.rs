//! The same payloads, as each event source hands them to the function.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// What `WEBHOOK_TOKEN` is in tests.
pub const TOKEN: &str = "a-token-for-tests-only";

/// An event source, and how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Sqs,
    SqsFifo,
    Kinesis,
    Kafka,
    RabbitMq,
    /// One webhook a body.
    FunctionUrl,
}

impl Source {
    pub const ALL: [Self; 6] =
        [Self::Sqs, Self::SqsFifo, Self::Kinesis, Self::Kafka, Self::RabbitMq, Self::FunctionUrl];

    /// Those that hand over several records at once.
    pub const BATCHES: [Self; 5] =
        [Self::Sqs, Self::SqsFifo, Self::Kinesis, Self::Kafka, Self::RabbitMq];

    /// What the nth record is called in the source's answer or elsewhere.
    pub fn id(self, index: usize) -> String {
        match self {
            Self::Kafka => format!("chat-0@{index}"),
            _ => format!("record-{index}"),
        }
    }

    /// The name in logs and parked records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqs | Self::SqsFifo => "sqs",
            Self::Kinesis => "kinesis",
            Self::Kafka => "kafka",
            Self::RabbitMq => "rabbitmq",
            Self::FunctionUrl => "http",
        }
    }

    /// One event with these payloads.
    pub fn event(self, bodies: &[Vec<u8>]) -> Vec<u8> {
        let records = bodies.iter().enumerate().map(|(index, body)| self.record(index, body));
        let records: Vec<Value> = records.collect();
        let event = match self {
            Self::Sqs | Self::SqsFifo | Self::Kinesis => json!({"Records": records}),
            Self::Kafka => json!({"eventSource": "aws:kafka",
                "eventSourceArn": "arn:aws:kafka:eu-west-1:123456789012:cluster/chat/1-1",
                "bootstrapServers": "b-1:9092", "records": {"chat-0": records}}),
            Self::RabbitMq => json!({"eventSource": "aws:rmq",
                "eventSourceArn": "arn:aws:mq:eu-west-1:123456789012:broker:chat:b-1",
                "rmqMessagesByQueue": {"chat::/": records}}),
            Self::FunctionUrl => records.into_iter().next().expect("one body"),
        };
        event.to_string().into_bytes()
    }

    pub fn record(self, index: usize, body: &[u8]) -> Value {
        let (id, data) = (self.id(index), BASE64_STANDARD.encode(body));
        match self {
            Self::Sqs | Self::SqsFifo => {
                let text = String::from_utf8(body.to_vec()).unwrap_or(data);
                let fifo = if self == Self::SqsFifo { ".fifo" } else { "" };
                json!({"messageId": id, "receiptHandle": "r", "body": text, "md5OfBody": "0",
                    "attributes": {"SentTimestamp": "1767225700000", "MessageGroupId": "room"},
                    "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "eu-west-1",
                    "eventSourceARN": format!("arn:aws:sqs:eu-west-1:123456789012:chat{fifo}")})
            }
            Self::Kinesis => json!({"eventSource": "aws:kinesis", "eventVersion": "1.0",
                "eventID": format!("shardId-000:{id}"), "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::123456789012:role/r", "awsRegion": "eu-west-1",
                "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/chat",
                "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "room",
                    "sequenceNumber": id, "data": data, "approximateArrivalTimestamp": 1.5}}),
            Self::Kafka => json!({"topic": "chat", "partition": 0, "offset": index,
                "timestamp": 1, "timestampType": "CREATE_TIME", "key": "cm9vbQ==", "value": data,
                "headers": []}),
            // As seen from a real broker: what a publisher does not set is null.
            Self::RabbitMq => json!({"redelivered": false, "data": data,
                "basicProperties": {"contentType": null, "headers": {}, "deliveryMode": 1,
                    "priority": null, "messageId": id, "timestamp": null, "bodySize": body.len()}}),
            Self::FunctionUrl => request(body, &[("x-webhook-token", TOKEN)]),
        }
    }
}

/// A POST to a function URL, the body as base64.
pub fn request(body: &[u8], headers: &[(&str, &str)]) -> Value {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
    json!({"version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
        "headers": headers, "body": BASE64_STANDARD.encode(body), "isBase64Encoded": true,
        "requestContext": {"accountId": "anonymous", "apiId": "u", "requestId": "r",
            "domainName": "u.lambda-url.eu-west-1.on.aws", "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_i64,
            "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "ably"}}})
}
