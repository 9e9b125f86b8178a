//! Whether the table is one that rows can be put into: asked once, at the start of a program, for
//! DynamoDB refuses every row for another table's keys as if the rows were wrong.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, TableDescription};
use tokio::time::timeout;

use crate::store::error::StoreError;
use crate::store::key;
use crate::store::table::Store;

/// What comes of looking at a table that nothing can be put into, or that cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A setting is wrong, and nothing would ever be stored; which, and how.
    #[error("{0}")]
    WrongSetting(String),
    /// The table may be right. If the error is retryable, ask again; if not, the permission for
    /// `dynamodb:DescribeTable` is missing, which is needed for nothing else.
    #[error("{0}")]
    Unknown(StoreError),
}

/// How long DynamoDB may take to say what the table is like.
const TIME_TO_ANSWER: Duration = Duration::from_secs(10);
/// The IAM action.
const ACTION: &str = "dynamodb:DescribeTable";
/// Codes of "not now" that come with a 4xx status (Amazon DynamoDB Developer Guide, "Error
/// handling").
const THROTTLED: [&str; 5] = [
    "ThrottlingException",
    "Throttling",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
];

impl Store {
    /// Asks whether there is a region, credentials, and a table with the keys that rows have.
    ///
    /// # Errors
    /// When there is not, or that cannot be told.
    pub async fn check(&self) -> Result<(), TableError> {
        let wrong = |what: String| Err(TableError::WrongSetting(what));
        let region = self.client.config().region().map_or("", |region| region.as_ref());
        if region.is_empty() {
            return wrong("no AWS region is set; see AWS_REGION".into());
        }
        let table = &self.table;
        let request = self.client.describe_table().table_name(table);
        let Ok(answer) = timeout(TIME_TO_ANSWER, request.send()).await else {
            let detail = format!("no answer within {TIME_TO_ANSWER:?}");
            let error = StoreError { detail, ..StoreError::deadline(ACTION, table) };
            return Err(TableError::Unknown(error));
        };
        match answer {
            Ok(output) => match output.table.as_ref().map(keys) {
                None => Ok(()),
                Some(keys) if keys == expected() => Ok(()),
                Some(keys) => wrong(format!(
                    "TABLE_NAME: the keys of table {table:?} are {keys}; the exporter's are {}, as \
                     template.yaml makes them",
                    expected()
                )),
            },
            Err(error) => Err(self.unlooked(&error)),
        }
    }

    fn unlooked<E>(&self, error: &SdkError<E>) -> TableError
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let seen = StoreError::from_sdk(ACTION, &self.table, error);
        let region = self.client.config().region().map_or("", |region| region.as_ref());
        if has_no_credentials(error) {
            return TableError::WrongSetting(format!(
                "there are no AWS credentials: {}",
                seen.detail
            ));
        }
        let service = match error {
            SdkError::ServiceError(service) => service,
            // A region that can be none, an endpoint that is no URL.
            SdkError::ConstructionFailure(_) => return TableError::WrongSetting(seen.to_string()),
            _ => return TableError::Unknown(seen),
        };
        match error.code().unwrap_or_default() {
            "AccessDeniedException" => {
                TableError::Unknown(StoreError { is_retryable: false, ..seen })
            }
            "ResourceNotFoundException" => TableError::WrongSetting(format!(
                "TABLE_NAME: there is no table {:?} in region {region:?}; make it first",
                self.table
            )),
            code if THROTTLED.contains(&code) || service.raw().status().as_u16() >= 500 => {
                TableError::Unknown(StoreError { is_retryable: true, ..seen })
            }
            // A name that no table can have, credentials that AWS does not know, …
            _ => TableError::WrongSetting(seen.to_string()),
        }
    }
}

/// Whether nothing gave credentials at all. A source of credentials that fails may do so for a
/// moment.
fn has_no_credentials<E: Error + 'static>(error: &SdkError<E>) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        match error.downcast_ref() {
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_),
            ) => return true,
            _ => cause = error.source(),
        }
    }
    false
}

/// The keys of a table in words, `pk (S, HASH), sk (S, RANGE)`.
fn keys(table: &TableDescription) -> String {
    let mut text = String::new();
    for element in table.key_schema() {
        let name = element.attribute_name();
        let mut attributes = table.attribute_definitions().iter();
        let found = attributes.find(|attribute| attribute.attribute_name() == name);
        let kind = found.map_or("?", |attribute| attribute.attribute_type().as_str());
        let separator = if text.is_empty() { "" } else { ", " };
        let role = element.key_type().as_str();
        write!(text, "{separator}{name} ({kind}, {role})")
            .expect("writing to a String cannot fail");
    }
    text
}

fn expected() -> String {
    let kind = ScalarAttributeType::S;
    let (hash, range) = (KeyType::Hash, KeyType::Range);
    format!("{} ({kind}, {hash}), {} ({kind}, {range})", key::PK, key::SK)
}
