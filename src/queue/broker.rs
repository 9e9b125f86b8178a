//! One connection to the broker: a channel for each queue, since an acknowledgement covers what
//! came before it on its channel.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::StreamExt;
use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties, Consumer as Deliveries, ErrorKind};

use crate::queue::address::{Address, QueueName};

/// A message, and the queue it is from: an index into the consumer's queues.
pub(super) struct Arrived {
    pub(super) queue: usize,
    pub(super) message: Message,
}

/// How a message is settled with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    Ack,
    /// Nothing: it goes back to its place in the queue when the session ends.
    Requeue,
    Reject,
}

/// Why a session is over.
pub(super) enum Ended {
    Shutdown,
    /// Something transient.
    Lost(String),
    /// Something that the broker does not allow, and the setting to look at.
    Refused(String),
    /// Messages that could not be stored, or parked.
    NotStored,
    /// More bytes in hand than there is room for; and how many messages would fit.
    TooMuch(u16),
}

/// The queues being consumed.
pub(super) struct Queues {
    address: Address,
    connection: Connection,
    queues: Vec<Queue>,
    /// Which of them is asked first for a message.
    first: usize,
}

struct Queue {
    name: QueueName,
    channel: Channel,
    deliveries: Deliveries,
    prefetch: u16,
}

impl Queues {
    /// Connects to every queue; or why not.
    pub(super) async fn connect(
        address: &Address,
        names: &[QueueName],
        prefetch: u16,
    ) -> Result<Self, Ended> {
        let properties = ConnectionProperties::default()
            .with_connection_name(concat!("ably-chat-queue ", env!("CARGO_PKG_VERSION")).into());
        let connection = Connection::connect_uri(address.uri(), properties)
            .await
            .map_err(|error| Ended::by(&error, address, None))?;
        let mut queues = Vec::with_capacity(names.len());
        for name in names {
            let ended = |error: lapin::Error| Ended::by(&error, address, Some(name));
            let channel = connection.create_channel().await.map_err(ended)?;
            let deliveries = consume(&channel, name, prefetch).await.map_err(ended)?;
            queues.push(Queue { name: name.clone(), channel, deliveries, prefetch });
        }
        Ok(Self { address: address.clone(), connection, queues, first: 0 })
    }

    /// The next message, of any queue; or why there will be none.
    pub(super) async fn next(&mut self) -> Result<Arrived, Ended> {
        poll_fn(|context| {
            let count = self.queues.len();
            for queue in (0..count).map(|offset| (self.first + offset) % count) {
                let Queue { name, deliveries, .. } = &mut self.queues[queue];
                if let Poll::Ready(arrived) = deliveries.poll_next_unpin(context) {
                    self.first = (queue + 1) % count;
                    return Poll::Ready(match arrived {
                        Some(Ok(message)) => Ok(Arrived { queue, message }),
                        Some(Err(error)) => Err(Ended::by(&error, &self.address, Some(name))),
                        // The end of one queue is the end of the session.
                        None => Err(Ended::Lost("the broker ended a consumer".into())),
                    });
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The greatest number of messages that any queue may hand over.
    pub(super) fn prefetch(&self) -> u16 {
        self.queues.iter().map(|queue| queue.prefetch).max().unwrap_or(1)
    }

    /// Has the broker hand over another number of messages, and gives what has come until then. The
    /// number holds for new consumers only, so that each queue gets one (RabbitMQ docs "Consumer
    /// Prefetch"); a number for the channel would take effect at once, but not on every kind of
    /// queue.
    pub(super) async fn hand_over(&mut self, prefetch: u16) -> Result<Vec<Arrived>, Ended> {
        let mut taken = Vec::new();
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let ended = |error: lapin::Error| Ended::by(&error, &self.address, Some(&queue.name));
            let options = BasicCancelOptions::default();
            queue.channel.basic_cancel(queue.deliveries.tag(), options).await.map_err(ended)?;
            while let Some(message) = queue.deliveries.next().await {
                taken.push(Arrived { queue: index, message: message.map_err(ended)? });
            }
            queue.deliveries =
                consume(&queue.channel, &queue.name, prefetch).await.map_err(ended)?;
            queue.prefetch = prefetch;
        }
        tracing::debug!(prefetch, "another number of messages in hand");
        Ok(taken)
    }

    /// Tells the broker of each message what became of it. How many were rejected.
    pub(super) async fn tell(
        &self,
        batch: &[Arrived],
        answers: &[Settlement],
    ) -> Result<u64, Ended> {
        let told = self.answer(batch, answers).await;
        told.map_err(|error| Ended::by(&error, &self.address, None))
    }

    async fn answer(&self, batch: &[Arrived], answers: &[Settlement]) -> lapin::Result<u64> {
        let mut rejected = 0;
        for (queue, Queue { channel, .. }) in self.queues.iter().enumerate() {
            let of_queue = || {
                let all = batch.iter().zip(answers);
                all.filter(|(taken, _)| taken.queue == queue)
            };
            let Some((last, _)) = of_queue().next_back() else { continue };
            if of_queue().all(|(_, answer)| *answer == Settlement::Ack) {
                // Whatever came before these on the channel has been dealt with.
                let options = BasicAckOptions { multiple: true };
                channel.basic_ack(last.message.delivery_tag, options).await?;
                continue;
            }
            for (Arrived { message, .. }, answer) in of_queue() {
                let tag = message.delivery_tag;
                match answer {
                    Settlement::Ack => {
                        channel.basic_ack(tag, BasicAckOptions::default()).await?;
                    }
                    Settlement::Requeue => {}
                    Settlement::Reject => {
                        rejected += 1;
                        channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await?;
                        tracing::error!(
                            deliveryTag = tag,
                            "rejected: Ably moves it to its own queue of dead letters, since no \
                             FAILURE_QUEUE_URL is set"
                        );
                    }
                }
            }
        }
        Ok(rejected)
    }

    /// Stops the consumers: nothing more comes.
    pub(super) async fn cancel(&self) {
        for Queue { channel, deliveries, .. } in &self.queues {
            let options = BasicCancelOptions::default();
            let cancelled = channel.basic_cancel(deliveries.tag(), options).await;
            if let Err(error) = cancelled {
                tracing::warn!(reason = %error, "a consumer could not be cancelled");
            }
        }
    }

    /// Says good-bye. What has not been acknowledged goes back to its place in the queue.
    pub(super) async fn close(&self) {
        if let Err(error) = self.connection.close(200, "shutdown".into()).await {
            tracing::warn!(reason = %error, "the connection could not be closed");
        }
    }
}

async fn consume(channel: &Channel, queue: &QueueName, prefetch: u16) -> lapin::Result<Deliveries> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    channel.basic_consume(queue.as_str().into(), tag, options, FieldTable::default()).await
}

impl Ended {
    /// What an error of the broker means, and which setting it is about.
    fn by(error: &lapin::Error, address: &Address, queue: Option<&QueueName>) -> Self {
        let ErrorKind::ProtocolError(protocol) = error.kind() else {
            return Self::Lost(error.to_string());
        };
        let queue = queue.map_or("", QueueName::as_str);
        let setting = match (protocol.kind(), queue) {
            (AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED), "") => {
                "the key is refused; see ABLY_QUEUE_URL or ABLY_API_KEY".to_owned()
            }
            (AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED), queue) => {
                format!("the key lacks the capability \"subscribe\" on the queue {queue:?}")
            }
            (AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND), queue) => {
                format!("there is no queue {queue:?}; see ABLY_QUEUE")
            }
            (AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED), _) => format!(
                "the virtual host {:?} is refused; Ably's is \"shared\", see ABLY_QUEUE_URL",
                address.virtual_host()
            ),
            _ => return Self::Lost(error.to_string()),
        };
        Self::Refused(format!("{setting}: {}", protocol.get_message()))
    }
}
