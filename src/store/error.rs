//! What can go wrong with a row, and whether the same row may succeed later.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws;

/// A row that DynamoDB cannot hold. None of its message is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unstorable {
    /// DynamoDB's limit on a partition key.
    #[error("the room name has {0} bytes, and DynamoDB takes 2048 in a partition key")]
    RoomNameTooLong(usize),
    /// DynamoDB's limit on a sort key.
    #[error("the row's sort key has {0} bytes, and DynamoDB takes 1024")]
    SortKeyTooLong(usize),
    /// Not a serial as Ably makes them.
    #[error("serial or version.serial holds a space, a control character or one of !\"#")]
    BadSerial,
    /// DynamoDB's limit on an item.
    #[error("the item would have {0} bytes, and DynamoDB takes 409600 (400 KB)")]
    TooLarge(usize),
}

/// The table could not be asked, or refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action} on table {table:?}: {detail}")]
pub struct StoreError {
    /// The IAM action that failed.
    pub action: &'static str,
    /// The table.
    pub table: String,
    /// What the service or the SDK says.
    pub detail: String,
    /// Whether the same request may succeed later. Only what DynamoDB finds wrong with the row
    /// itself may not; a missing or wrong table or a missing permission is no fault of the record.
    pub is_retryable: bool,
}

/// The one service error that says that the row itself is wrong.
const INVALID: &str = "ValidationException";
/// What that error says where the table is wrong and not the row, by its keys, an index or its
/// name: `PutItem` (the first two), `UpdateItem` and `GetItem`, `Query`, and all of them.
const WRONG_TABLE: [&str; 5] = [
    "Missing the key ",
    "Type mismatch for ",
    "key element does not match the schema",
    "Query condition missed key schema element",
    "at 'tableName' failed",
];

const WRONG_TABLE_HELP: &str = "TABLE_NAME must name a table with the keys pk and sk, both strings";

impl StoreError {
    pub(super) fn from_sdk<E>(action: &'static str, table: &str, error: &SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let detail = aws::describe(error);
        let is_invalid = error.code() == Some(INVALID);
        if is_invalid && WRONG_TABLE.iter().any(|words| detail.contains(words)) {
            let detail = format!("{detail}; {WRONG_TABLE_HELP}");
            return Self { action, table: table.into(), detail, is_retryable: true };
        }
        Self { action, table: table.into(), detail, is_retryable: !is_invalid }
    }

    pub(super) fn deadline(action: &'static str, table: &str) -> Self {
        let detail = "no answer before the invocation's deadline".into();
        Self { action, table: table.into(), detail, is_retryable: true }
    }

    pub(super) fn local(action: &'static str, table: &str, detail: String) -> Self {
        Self { action, table: table.into(), detail, is_retryable: false }
    }

    pub(super) fn unreadable(table: &str, sort_key: &str, reason: &str) -> Self {
        let detail = format!("the row {sort_key:?} is not one of this program's: {reason}");
        Self { action: "dynamodb:Query", table: table.into(), detail, is_retryable: false }
    }
}

/// Whether the write's condition failed: the same or a newer row is there.
pub(super) fn lost_the_race<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}
