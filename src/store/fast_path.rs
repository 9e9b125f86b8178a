//! Whether new rows may be inserted, many in one request, and the client for it. Nothing depends on
//! it but speed: without it, every row is a conditional put.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;

use crate::store::settings::BulkInserts;

/// The switch of one table's fast path. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct FastPath {
    is_open: Arc<AtomicBool>,
    /// Made when it is first needed.
    client: OnceLock<Client>,
}

impl FastPath {
    /// A statement names the table in its text: one that is given by its ARN is not written to so.
    pub(super) fn new(table: &str, wanted: BulkInserts) -> Self {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let is_open = wanted == BulkInserts::On && table.bytes().all(is_plain);
        Self { is_open: Arc::new(is_open.into()), client: OnceLock::new() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Closes it for the life of the process, and says so once.
    pub(super) fn close(&self, reason: &str) {
        if self.is_open.swap(false, Ordering::Relaxed) {
            tracing::warn!(reason, "new rows are put one by one: dynamodb:PartiQLInsert failed");
        }
    }

    /// A client that does not try again by itself: what an insert could not do, a put does.
    pub(super) fn client(&self, client: &Client) -> &Client {
        self.client.get_or_init(|| without_retries(client))
    }
}

/// The same client, but for its retries.
pub(super) fn without_retries(client: &Client) -> Client {
    let config = client.config().to_builder().retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_a_statement_cannot_name_has_none() {
        let is_open = |table: &str| FastPath::new(table, BulkInserts::On).is_open();
        assert!(is_open("chat") && is_open("my-stack_Chat.Table-1X2Y"));
        assert!(!is_open("arn:aws:dynamodb:eu-west-1:123456789012:table/chat"));
        assert!(!is_open("a\"b") && !is_open("a'b") && !is_open("a b"));
        assert!(!FastPath::new("chat", BulkInserts::Off).is_open());
    }

    #[test]
    fn clones_are_closed_together() {
        let one = FastPath::new("chat", BulkInserts::On);
        one.clone().close("AccessDenied");
        assert!(!one.is_open());
    }
}
