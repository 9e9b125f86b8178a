//! One connection to the broker: what comes in together is stored together, and acknowledged then.

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{ReadyChunks, SelectAll, select_all};
use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties, Consumer as Deliveries, ErrorKind};
use tokio::time::Instant;

use crate::delivery::{self, Delivery, Fate, IfRefused, Order, Outcome};
use crate::ingest::ErrorType;
use crate::intake::Occasion;
use crate::logs;
use crate::queue::status::Told;
use crate::queue::{Consumer, QueueName, pauses};
use crate::time::now;

/// How long the messages of one batch may take to be stored: what cannot be by then is given back.
/// A shutdown waits no longer.
const TIME_TO_STORE: Duration = Duration::from_secs(20);
/// How long one connection attempt may take.
const TIME_TO_CONNECT: Duration = Duration::from_secs(30);
/// How long the broker may take to say good-bye.
const TIME_TO_CLOSE: Duration = Duration::from_secs(5);

/// Why a session is over.
pub(super) enum Ended {
    Shutdown,
    /// Something that may pass.
    Lost(String),
    /// Something that the broker does not allow, and the setting to look at.
    Refused(String),
}

/// A consumer's session.
pub(super) struct Session<'a> {
    consumer: &'a Consumer,
    batches: u64,
    /// Pauses before what could not be stored comes again; they grow until something is stored.
    pauses: Box<dyn Iterator<Item = Duration> + Send>,
}

/// A message, and the queue it is from: an index into [`Queues::channels`].
struct Taken {
    queue: usize,
    message: Message,
}

/// What the broker is told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Acknowledge,
    GiveBack,
    Reject,
}

type Stream = Pin<Box<dyn futures_util::Stream<Item = Option<lapin::Result<Taken>>> + Send>>;

/// The queues being consumed.
pub(super) struct Queues {
    connection: Connection,
    /// Each with its consumer's tag.
    channels: Vec<(Channel, ShortString)>,
    /// What has arrived since, as far as it is stored together.
    messages: ReadyChunks<SelectAll<Stream>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(consumer: &'a Consumer) -> Self {
        Self { consumer, batches: 0, pauses: Box::new(pauses()) }
    }

    /// Connects to every queue; or why not.
    pub(super) async fn begin(
        &self,
        shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Queues, Ended> {
        tokio::select! {
            connected = tokio::time::timeout(TIME_TO_CONNECT, self.connect()) => {
                let late = |_| Ended::Lost(format!("no connection within {TIME_TO_CONNECT:?}"));
                connected.map_err(late)?
            }
            () = shutdown => Err(Ended::Shutdown),
        }
    }

    /// Consumes until the shutdown or an end of the connection.
    pub(super) async fn run(
        mut self,
        mut queues: Queues,
        shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        self.consumer.status.connected();
        let ended = self.consume(&mut queues, shutdown).await;
        self.consumer.status.disconnected();
        if matches!(ended, Ended::Shutdown) {
            let closing = queues.close();
            if tokio::time::timeout(TIME_TO_CLOSE, closing).await.is_err() {
                tracing::warn!("the broker did not say good-bye");
            }
        }
        ended
    }

    async fn connect(&self) -> Result<Queues, Ended> {
        let Consumer { address, queues, prefetch, .. } = self.consumer;
        let properties = ConnectionProperties::default()
            .with_connection_name(concat!("ably-chat-queue ", env!("CARGO_PKG_VERSION")).into());
        let connection = Connection::connect_uri(address.uri(), properties)
            .await
            .map_err(|error| self.ended(&error, None))?;
        let mut channels = Vec::with_capacity(queues.len());
        let mut messages: Vec<Stream> = Vec::with_capacity(queues.len());
        for (index, queue) in queues.iter().enumerate() {
            let ended = |error: lapin::Error| self.ended(&error, Some(queue));
            let channel = connection.create_channel().await.map_err(ended)?;
            channel.basic_qos(*prefetch, BasicQosOptions::default()).await.map_err(ended)?;
            let consumer: Deliveries = channel
                .basic_consume(
                    queue.as_str().into(),
                    ShortString::default(),
                    BasicConsumeOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(ended)?;
            channels.push((channel, consumer.tag()));
            let taken = move |message: lapin::Result<Message>| {
                Some(message.map(|message| Taken { queue: index, message }))
            };
            // The end of one stream is the end of the session.
            messages.push(consumer.map(taken).chain(futures_util::stream::iter([None])).boxed());
        }
        let names: Vec<_> = queues.iter().map(QueueName::as_str).collect();
        tracing::info!(broker = %address, queues = ?names, prefetch, "consuming");
        Ok(Queues {
            connection,
            channels,
            messages: select_all(messages).ready_chunks(self.most()),
        })
    }

    async fn consume(
        &mut self,
        queues: &mut Queues,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        loop {
            let arrived = tokio::select! {
                biased;
                () = shutdown.as_mut() => return Ended::Shutdown,
                arrived = queues.messages.next() => arrived,
            };
            let mut batch = Vec::new();
            let mut end = None;
            for taken in arrived.unwrap_or_else(|| vec![None]) {
                match taken {
                    Some(Ok(taken)) => batch.push(taken),
                    Some(Err(error)) => end = Some(self.ended(&error, None)),
                    None => {
                        end.get_or_insert(Ended::Lost("the broker ended a consumer".into()));
                    }
                }
            }
            let told = match batch.is_empty() {
                true => Ok(()),
                false => self.take(queues, batch, shutdown.as_mut()).await,
            };
            match (told, end) {
                (Ok(()), None) => {}
                (_, Some(end)) => return end,
                (Err(error), None) => return self.ended(&error, None),
            }
        }
    }

    /// The most messages stored together: half of what the broker hands over, so that the other
    /// half is on its way meanwhile.
    fn most(&self) -> usize {
        usize::from(self.consumer.prefetch).div_ceil(2)
    }

    /// Stores a batch, and tells the broker of each message what became of it.
    async fn take(
        &mut self,
        queues: &Queues,
        batch: Vec<Taken>,
        shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> lapin::Result<()> {
        self.batches += 1;
        self.consumer.status.taken(batch.len());
        let started = Instant::now();
        let request_id = format!("batch-{}", self.batches);
        let received_at = now();
        let deliveries: Vec<_> =
            batch.iter().map(|taken| self.delivery(taken, received_at)).collect();
        let occasion = Occasion {
            request_id: &request_id,
            function_version: env!("CARGO_PKG_VERSION"),
            deadline: started + TIME_TO_STORE,
        };
        let deliveries: Vec<&Delivery<'_>> = deliveries.iter().collect();
        let outcomes = self.consumer.intake.take(occasion, &deliveries).await;
        logs::invocation(&request_id, &outcomes, started.elapsed());
        self.consumer.status.ingested(&outcomes);
        let verdicts = self.verdicts(&deliveries, &outcomes);
        if verdicts.contains(&Verdict::GiveBack) {
            let pause = self.pauses.next().unwrap_or_default();
            tracing::warn!(pause_ms = pause.as_secs_f64() * 1_000.0, "not stored; pausing");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown => {}
            }
        } else {
            self.pauses = Box::new(pauses());
        }
        let told = queues.tell(&batch, &verdicts).await?;
        self.consumer.status.told(told);
        Ok(())
    }

    /// What is stored or parked is acknowledged; what may be later is given back, with whatever is
    /// behind it, to keep the order; the rest is left to Ably's dead letters.
    fn verdicts(&self, deliveries: &[&Delivery<'_>], outcomes: &[Outcome]) -> Vec<Verdict> {
        let has_failure_queue = self.consumer.intake.failure_queue.is_some();
        let comes_again = |outcome: &Outcome| {
            // Where it could not be parked, it may be later; without a queue to park it in, never.
            outcome.fate == Fate::Failed
                && (has_failure_queue || outcome.report.error_type() == Some(ErrorType::Retryable))
        };
        let ended = deliveries.iter().zip(outcomes);
        let held = delivery::held(ended.map(|(one, outcome)| (&one.order, comes_again(outcome))));
        let verdict = |(outcome, is_held): (&Outcome, bool)| match outcome.fate {
            _ if is_held || comes_again(outcome) => Verdict::GiveBack,
            Fate::Done | Fate::Parked => Verdict::Acknowledge,
            Fate::Failed => Verdict::Reject,
        };
        outcomes.iter().zip(held).map(verdict).collect()
    }

    fn delivery<'b>(&self, Taken { queue, message }: &'b Taken, received_at: i64) -> Delivery<'b> {
        let id = message.properties.message_id().as_ref().map(ToString::to_string);
        Delivery {
            source: "queue",
            source_arn: Some(self.consumer.queues[*queue].as_str().into()),
            id: delivery::id_of_arrival(id, &message.data, received_at, message.delivery_tag),
            // The order of the queue, which one consumer keeps.
            received_at,
            body: Ok(Cow::Borrowed(&message.data)),
            raw: "",
            if_refused: IfRefused::Park,
            order: Order::Group(self.consumer.queues[*queue].as_str().into()),
        }
    }

    /// What an error of the broker means, and which setting it is about.
    fn ended(&self, error: &lapin::Error, queue: Option<&QueueName>) -> Ended {
        let ErrorKind::ProtocolError(protocol) = error.kind() else {
            return Ended::Lost(error.to_string());
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
                self.consumer.address.virtual_host()
            ),
            _ => return Ended::Lost(error.to_string()),
        };
        Ended::Refused(format!("{setting}: {}", protocol.get_message()))
    }
}

impl Queues {
    async fn tell(&self, batch: &[Taken], verdicts: &[Verdict]) -> lapin::Result<Told> {
        let mut told = Told::default();
        for (queue, (channel, _)) in self.channels.iter().enumerate() {
            let of_queue = || {
                let all = batch.iter().zip(verdicts);
                all.filter(|(taken, _)| taken.queue == queue)
            };
            let Some((last, _)) = of_queue().next_back() else { continue };
            if of_queue().all(|(_, verdict)| *verdict == Verdict::Acknowledge) {
                // Whatever came before these on the channel has been dealt with.
                let options = BasicAckOptions { multiple: true };
                channel.basic_ack(last.message.delivery_tag, options).await?;
                continue;
            }
            for (Taken { message, .. }, verdict) in of_queue() {
                let tag = message.delivery_tag;
                match verdict {
                    Verdict::Acknowledge => {
                        channel.basic_ack(tag, BasicAckOptions::default()).await?;
                    }
                    Verdict::GiveBack => {
                        told.requeued += 1;
                        let options = BasicNackOptions { requeue: true, ..Default::default() };
                        channel.basic_nack(tag, options).await?;
                    }
                    Verdict::Reject => {
                        told.rejected += 1;
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
        Ok(told)
    }

    /// Stops the consumers, gives back what has not been looked at, and says good-bye.
    async fn close(&self) {
        for (channel, tag) in &self.channels {
            let cancelled = channel.basic_cancel(tag.clone(), BasicCancelOptions::default()).await;
            if let Err(error) = cancelled {
                tracing::warn!(%error, "a consumer could not be cancelled");
            }
        }
        if let Err(error) = self.connection.close(200, "shutdown".into()).await {
            tracing::warn!(%error, "the connection could not be closed");
        }
    }
}
