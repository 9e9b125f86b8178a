//! SQS queues to send to, for what cannot be stored and for work to be done: the only user of the
//! SQS SDK. What is sent, and why, is the caller's to say.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::aws;

/// SQS's limit on a message, and on all messages of one call, in bytes (SQS API Reference,
/// "SendMessageBatch").
pub(crate) const MAX_BYTES: usize = 1_048_576;

/// An SQS queue, connected to when it is first needed: most functions never do.
#[derive(Debug)]
pub struct SqsQueue {
    url: String,
    config: SdkConfig,
    client: OnceLock<Client>,
}

/// Messages in one call (SQS API Reference, "SendMessageBatch"), and calls on their way at once.
const BATCH: usize = 10;
pub(crate) const CONCURRENCY: usize = 8;
/// Calls for messages that the queue takes some of only, which the SDK does not send again; and the
/// pause between the first two.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that a message can be held back ("SendMessage", DelaySeconds).
const MAX_DELAY: u64 = 900;

/// A message could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The queue could not be asked, or refused.
    #[error("sqs:SendMessage: {0}")]
    Send(String),
    /// There is no time left.
    #[error("sqs:SendMessage: no answer before the invocation's deadline")]
    Deadline,
    /// Another record, with which this one comes again, could not be sent.
    #[error("not sent, since it comes again with another one")]
    ComesAgain,
}

impl SqsQueue {
    /// The queue at `url`, as `FAILURE_QUEUE_URL` has it.
    #[must_use]
    pub fn new(url: String, config: SdkConfig) -> Self {
        Self { url, config, client: OnceLock::new() }
    }

    /// The queue's name: the last part of its URL.
    #[must_use]
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Sends JSON texts, each a small one, to be handed out after `delay`, fifteen minutes at most.
    ///
    /// # Errors
    /// When the queue has not confirmed all of them by `deadline`.
    pub async fn send_all(
        &self,
        texts: &[String],
        delay: Duration,
        deadline: Instant,
    ) -> Result<(), SendError> {
        let texts = texts.iter().map(|json| ((), allowed(json.clone())));
        // Made before anything is awaited: the future may then go to another thread.
        let packs: Vec<_> = packs(texts).collect();
        stream::iter(packs)
            .map(async |pack| {
                let texts = pack.into_iter().map(|(_, text)| text).collect();
                self.send_pack(texts, delay, deadline).await.into_iter().collect()
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Sends one of [`packs`], to be handed out after `delay`; an answer for each text, in their
    /// order. What the queue did not take of it is sent again.
    pub(crate) async fn send_pack(
        &self,
        texts: Vec<String>,
        delay: Duration,
        deadline: Instant,
    ) -> Vec<Result<(), SendError>> {
        let mut answers = vec![Ok(()); texts.len()];
        let mut waiting: Vec<(usize, String)> = texts.into_iter().enumerate().collect();
        for attempt in 1.. {
            let sent = self.send_once(&waiting, delay, deadline).await;
            let left = match sent {
                Ok(left) => left,
                Err(error) => {
                    waiting.iter().for_each(|(index, _)| answers[*index] = Err(error.clone()));
                    break;
                }
            };
            for (index, answer) in answers.iter_mut().enumerate() {
                let refused = left.iter().find(|(refused, _)| *refused == index);
                *answer =
                    refused.map_or(Ok(()), |(_, reason)| Err(SendError::Send(reason.clone())));
            }
            waiting.retain(|(index, _)| left.iter().any(|(refused, _)| refused == index));
            if waiting.is_empty() || attempt == ATTEMPTS {
                break;
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + PAUSE * attempt)).await;
        }
        answers
    }

    /// Sends texts, each by its number; the numbers of those that were not taken, and why.
    async fn send_once(
        &self,
        texts: &[(usize, String)],
        delay: Duration,
        deadline: Instant,
    ) -> Result<Vec<(usize, String)>, SendError> {
        if Instant::now() >= deadline {
            return Err(SendError::Deadline);
        }
        let client = self.client.get_or_init(|| Client::new(&self.config));
        let seconds = i32::try_from(delay.as_secs().min(MAX_DELAY)).unwrap_or(0);
        let entries = texts.iter().map(|(index, text)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(text)
                .delay_seconds(seconds)
                .build()
                .expect("id and body are set")
        });
        let request = client.send_message_batch().queue_url(&self.url);
        let request = request.set_entries(Some(entries.collect()));
        let output = match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(output) => output.map_err(|error| SendError::Send(aws::describe(&error)))?,
            Err(_) => return Err(SendError::Deadline),
        };
        let refused = output.failed().iter().filter_map(|entry| {
            let reason = format!("{}: {}", entry.code(), entry.message().unwrap_or_default());
            Some((entry.id().parse().ok()?, reason))
        });
        Ok(refused.collect())
    }
}

/// Texts, each with what it belongs to, in as many as one call takes.
pub(crate) fn packs<T>(
    texts: impl Iterator<Item = (T, String)>,
) -> impl Iterator<Item = Vec<(T, String)>> {
    let mut texts = texts.peekable();
    std::iter::from_fn(move || {
        let mut pack = vec![texts.next()?];
        let mut bytes = pack[0].1.len();
        while pack.len() < BATCH
            && let Some(next) = texts.next_if(|(_, text)| bytes + text.len() <= MAX_BYTES)
        {
            bytes += next.1.len();
            pack.push(next);
        }
        Some(pack)
    })
}

/// The same JSON in characters that SQS takes. It refuses two that JSON need not escape, U+FFFE and
/// U+FFFF; a message may hold them, and must not keep its record out of the queue by that.
pub(crate) fn allowed(json: String) -> String {
    if json.contains(['\u{fffe}', '\u{ffff}']) {
        json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
    } else {
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_and_within_what_sqs_takes() {
        let json = serde_json::to_string("a\u{0}b\u{fffe}c\u{ffff}d\u{fffd}🙂").unwrap();
        let sent = allowed(json);
        assert!(sent.chars().all(|c| !matches!(c, '\u{0}'..='\u{8}' | '\u{fffe}' | '\u{ffff}')));
        let read: String = serde_json::from_str(&sent).unwrap();
        assert_eq!(read, "a\u{0}b\u{fffe}c\u{ffff}d\u{fffd}🙂");
    }
}
