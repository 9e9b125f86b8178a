//! Events of services that this function has no use for: refused by what they are.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::exporter::event::Incoming;
use crate::exporter::source::Source;
use crate::ingest::delivery::Unreadable;

pub(super) const SOURCE: Source = Source {
    name: "unknown",
    sent: |event| what(event).is_some(),
    read: |event, _| {
        let what = what(event).unwrap_or("of an unknown service");
        Err(Unreadable(format!("the event is {what}, and this function takes none from there")))
    },
};

/// What AWS services call their events' members.
const MEMBERS: [(&str, &str); 5] = [
    ("detail-type", "an EventBridge event"),
    ("awslogs", "a CloudWatch Logs event"),
    ("deliveryStreamArn", "a Firehose event"),
    ("Sns", "an SNS record"),
    ("ResourceProperties", "a CloudFormation event"),
];
const ACTIVE_MQ: &str = "of Amazon MQ for ActiveMQ, which speaks AMQP 1.0 where Ably's AMQP rule \
    speaks AMQP 0.9.1 as RabbitMQ does";

fn what(event: &Incoming<'_>) -> Option<&'static str> {
    if event.shape.messages.is_some() {
        // AWS's documents spell its name both ways.
        return ["aws:mq", "aws:amq"].contains(&&*event.event_source).then_some(ACTIVE_MQ);
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(event.raw).ok()?;
    MEMBERS.iter().find(|(name, _)| members.contains_key(*name)).map(|(_, what)| *what)
}
