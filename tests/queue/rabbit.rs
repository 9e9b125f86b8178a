//! Ably's side of the queue: publishing, and how deep it is.

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use testkit::{Broker, Depth};

use crate::process::until;

pub(crate) const EMPTY: Depth = Depth { ready: 0, unacknowledged: 0 };

pub(crate) async fn until_empty(broker: &Broker) {
    until("an empty queue", async || depth(broker, &broker.queue()).await == EMPTY).await;
}

/// How deep a queue is. A broker that is not our own says only how many messages wait.
pub(crate) async fn depth(broker: &Broker, queue: &str) -> Depth {
    if let Some(depth) = broker.depth(queue) {
        return depth;
    }
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&broker.url, properties).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let declared = channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
    let ready = declared.expect("the queue").message_count().into();
    connection.close(200, "done".into()).await.expect("closed");
    Depth { ready, unacknowledged: 0 }
}

/// Ably's side: makes the queue, with its dead letters, and publishes.
pub(crate) async fn publisher(broker: &Broker) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&broker.url, properties).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut dead_letters = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    dead_letters.insert("x-dead-letter-exchange".into(), text(""));
    dead_letters.insert("x-dead-letter-routing-key".into(), text(&broker.dead_letters()));
    for (queue, arguments) in
        [(broker.dead_letters(), FieldTable::default()), (broker.queue(), dead_letters)]
    {
        channel.queue_declare(queue.as_str().into(), durable, arguments).await.expect("a queue");
        // The cases of a property share the queue.
        channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("purged");
    }
    (connection, channel)
}

pub(crate) async fn publish(broker: &Broker, channel: &Channel, bodies: &[Vec<u8>]) {
    let mut confirms = Vec::with_capacity(bodies.len());
    for body in bodies {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let confirm =
            channel.basic_publish("".into(), broker.queue().into(), options, body, properties);
        confirms.push(confirm.await.expect("published"));
    }
    for confirm in confirms {
        assert!(confirm.await.expect("an answer").is_ack());
    }
}
