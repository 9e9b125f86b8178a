//! The queue for what cannot be stored: the only user of the SQS SDK. What it keeps, and why, is
//! the caller's to say.

use std::sync::OnceLock;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use tokio::time::Instant;

use crate::aws;

/// SQS's limit on a message, in bytes (SQS API Reference, "SendMessage").
const MAX_BYTES: usize = 1_048_576;

/// An SQS queue, connected to when it is first needed: most functions never do.
#[derive(Debug)]
pub struct FailureQueue {
    url: String,
    config: SdkConfig,
    client: OnceLock<Client>,
}

/// A record could not be parked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParkError {
    /// No queue takes it.
    #[error("it would have {0} bytes, and SQS takes 1048576 (1 MiB)")]
    TooLarge(usize),
    /// The queue could not be asked, or refused.
    #[error("sqs:SendMessage: {0}")]
    Send(String),
    /// There is no time left.
    #[error("sqs:SendMessage: no answer before the invocation's deadline")]
    Deadline,
}

impl FailureQueue {
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
    pub async fn send(&self, json: &str, deadline: Instant) -> Result<(), ParkError> {
        let json = allowed(json);
        if json.len() > MAX_BYTES {
            return Err(ParkError::TooLarge(json.len()));
        }
        let client = self.client.get_or_init(|| Client::new(&self.config));
        let request = client.send_message().queue_url(&self.url).message_body(json);
        match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(ParkError::Send(aws::describe(&error))),
            Err(_) => Err(ParkError::Deadline),
        }
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
