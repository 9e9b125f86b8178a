//! An invocation's payload, and which event source it is from.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The event as it came. Reading it never fails, so that an event that is not JSON gets this
/// program's answer and not the runtime's.
#[derive(Debug)]
pub struct Event(Result<Box<RawValue>, String>);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer).map_err(|error| error.to_string())))
    }
}

/// Where an event is from.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// Ably's own invocation, or anybody's: the event is the payload.
    Direct(&'a str),
    /// SQS or Kinesis, record by record (`Records`).
    Records(&'a RawValue),
    /// MSK or self-managed Kafka.
    Kafka(&'a str),
    /// Amazon MQ for RabbitMQ.
    RabbitMq(&'a str),
    /// Amazon MQ for ActiveMQ.
    ActiveMq(&'a str),
    /// A function URL, API Gateway or a load balancer.
    Http(&'a str),
    /// None of these; why.
    Unknown(String),
}

/// Members by which services' events are told apart. Ably's own have none of them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    #[serde(rename = "Records", borrow)]
    aws_records: Option<&'a RawValue>,
    #[serde(borrow)]
    records: Option<&'a RawValue>,
    #[serde(borrow)]
    rmq_messages_by_queue: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    event_source: Option<&'a RawValue>,
    #[serde(borrow)]
    http_method: Option<&'a RawValue>,
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,
}

/// What AWS services that this function does not serve call their events' members.
const FOREIGN: [(&str, &str); 5] = [
    ("detail-type", "an EventBridge event"),
    ("awslogs", "a CloudWatch Logs event"),
    ("deliveryStreamArn", "a Firehose event"),
    ("Sns", "an SNS record"),
    ("ResourceProperties", "a CloudFormation event"),
];

impl Event {
    /// How long it is.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |raw| raw.get().len())
    }

    pub(super) fn source(&self) -> Source<'_> {
        let raw = match &self.0 {
            Ok(raw) => raw.get(),
            Err(reason) => return Source::Unknown(format!("the event is not JSON: {reason}")),
        };
        let shape: Shape<'_> = serde_json::from_str(raw).unwrap_or_default();
        let event_source = shape.event_source.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let event_source: String = event_source.unwrap_or_default();
        match shape {
            Shape { aws_records: Some(records), .. } => Source::Records(records),
            Shape { records: Some(_), .. } if event_source.ends_with("afka") => Source::Kafka(raw),
            Shape { rmq_messages_by_queue: Some(_), .. } => Source::RabbitMq(raw),
            // AWS's documents spell it both ways.
            Shape { messages: Some(_), .. } if ["aws:mq", "aws:amq"].contains(&&*event_source) => {
                Source::ActiveMq(raw)
            }
            Shape { request_context: Some(context), http_method, .. }
                if http_method.is_some() || is_http(context) =>
            {
                Source::Http(raw)
            }
            Shape { messages: None, .. } => match foreign(raw) {
                Some(reason) => Source::Unknown(reason),
                None => Source::Direct(raw),
            },
            Shape { .. } => Source::Direct(raw),
        }
    }
}

/// Whether a request context is that of payload format 2.0 (function URL, HTTP API). A failed
/// invocation's record has a context too.
fn is_http(context: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Context<'a> {
        #[serde(borrow)]
        http: Option<&'a RawValue>,
    }
    serde_json::from_str::<Context<'_>>(context.get()).is_ok_and(|context| context.http.is_some())
}

/// Names an AWS event that this function has no use for.
fn foreign(raw: &str) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
    let (_, what) = FOREIGN.iter().find(|(name, _)| members.contains_key(*name))?;
    Some(format!("the event is {what}, and this function takes none from there"))
}
