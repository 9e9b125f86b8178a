//! SQS queues to send to, for what cannot be stored and for work to be done: the only user of the SQS
//! SDK. What is sent, and why, is the caller's to say.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::aws;

/// SQS's limit on a message, in bytes (SQS API Reference, "SendMessage").
const MAX_BYTES: usize = 1_048_576;

/// An SQS queue, connected to when it is first needed: most functions never do.
#[derive(Debug)]
pub struct SqsQueue {
    url: String,
    config: SdkConfig,
    client: OnceLock<Client>,
}

/// Messages in one call (SQS API Reference, "SendMessageBatch"), and calls on their way at once.
const BATCH: usize = 10;
const CONCURRENCY: usize = 8;
/// The longest that a message can be held back ("SendMessage", DelaySeconds).
const MAX_DELAY: u64 = 900;

/// A message could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No queue takes it.
    #[error("it would have {0} bytes, and SQS takes 1048576 (1 MiB)")]
    TooLarge(usize),
    /// The queue could not be asked, or refused.
    #[error("sqs:SendMessage: {0}")]
    Send(String),
    /// There is no time left.
    #[error("sqs:SendMessage: no answer before the invocation's deadline")]
    Deadline,
    /// The queue took some of them only.
    #[error("sqs:SendMessageBatch: {0} messages were not taken")]
    NotAll(usize),
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

    /// Sends JSON text.
    ///
    /// # Errors
    /// When the queue has not confirmed it by `deadline`.
    pub async fn send(&self, json: &str, deadline: Instant) -> Result<(), SendError> {
        let json = allowed(json);
        if json.len() > MAX_BYTES {
            return Err(SendError::TooLarge(json.len()));
        }
        let client = self.client.get_or_init(|| Client::new(&self.config));
        let request = client.send_message().queue_url(&self.url).message_body(json);
        match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(SendError::Send(aws::describe(&error))),
            Err(_) => Err(SendError::Deadline),
        }
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
        let client = self.client.get_or_init(|| Client::new(&self.config));
        let seconds = i32::try_from(delay.as_secs().min(MAX_DELAY)).unwrap_or(0);
        let sends = stream::iter(texts.chunks(BATCH)).map(async |texts| {
            let entries = texts.iter().enumerate().map(|(index, json)| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(allowed(json))
                    .delay_seconds(seconds)
                    .build()
                    .expect("id and body are set")
            });
            let request = client.send_message_batch().queue_url(&self.url);
            let request = request.set_entries(Some(entries.collect()));
            match tokio::time::timeout_at(deadline, request.send()).await {
                Ok(Ok(output)) if output.failed().is_empty() => Ok(()),
                Ok(Ok(output)) => Err(SendError::NotAll(output.failed().len())),
                Ok(Err(error)) => Err(SendError::Send(aws::describe(&error))),
                Err(_) => Err(SendError::Deadline),
            }
        });
        sends.buffer_unordered(CONCURRENCY).try_collect().await
    }
}

/// The same JSON in characters that SQS takes. It refuses two that JSON need not escape, U+FFFE and
/// U+FFFF; a message may hold them, and must not keep its record out of the queue by that.
fn allowed(json: &str) -> String {
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_and_within_what_sqs_takes() {
        let json = serde_json::to_string("a\u{0}b\u{fffe}c\u{ffff}d\u{fffd}🙂").unwrap();
        let sent = allowed(&json);
        assert!(sent.chars().all(|c| !matches!(c, '\u{0}'..='\u{8}' | '\u{fffe}' | '\u{ffff}')));
        let read: String = serde_json::from_str(&sent).unwrap();
        assert_eq!(read, "a\u{0}b\u{fffe}c\u{ffff}d\u{fffd}🙂");
    }
}
