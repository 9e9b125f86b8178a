//! The row of a latest version under `VERSIONS=all`: there is one only where another setting has
//! left it. It must not go on to show what was edited or deleted since; and with `VERSIONS=latest`
//! before, it may be all that is left of an earlier version.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use tokio::time::Instant;

use crate::store::condition::Condition;
use crate::store::error::{self, StoreError};
use crate::store::item::Item;
use crate::store::key::{self, Key};
use crate::store::put::Put;
use crate::store::read_item;
use crate::store::table::{Store, Written};

impl Store {
    /// Replaces such a row if it is older than `put`, once the version that it holds has a row of
    /// its own. Where it ends in between, a redelivery goes on: each step is a put that may be
    /// repeated.
    pub(super) async fn replace_left(
        &self,
        put: Put,
        deadline: Instant,
    ) -> Result<Written, StoreError> {
        let Some(left) = self.left(&put.key, deadline).await? else {
            return Ok(Written::Superseded);
        };
        if let Some(kept) = version_row(left) {
            self.write_one(kept, deadline).await?;
        }
        self.write_one(put, deadline).await
    }

    /// The row that was left, if there is one. A put that always fails is the one way to read with
    /// the permission to write alone.
    async fn left(&self, key: &Key, deadline: Instant) -> Result<Option<Item>, StoreError> {
        let request = self
            .put_item()
            .set_item(Some(key.clone().attributes().into()))
            .condition_expression("attribute_exists(#pk) AND attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", key::PK)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        self.put_until(deadline, request, |request| self.look(request)).await
    }

    async fn look(&self, request: PutItemFluentBuilder) -> Result<Option<Item>, StoreError> {
        match request.send().await {
            Ok(_) => Ok(None),
            Err(error) if error::lost_the_race(&error) => match error.into_service_error() {
                PutItemError::ConditionalCheckFailedException(failed) => Ok(failed.item),
                _ => Ok(None),
            },
            Err(error) => Err(StoreError::from_sdk("dynamodb:PutItem", &self.table, &error)),
        }
    }
}

/// The row of the version that a latest row holds.
fn version_row(mut left: Item) -> Option<Put> {
    let message = read_item::to_message(&left).ok()?;
    left.remove(key::PK);
    left.remove(key::SK);
    let key = Key::version(&message.room, &message.serial, &message.version.serial).ok()?;
    Put::new(key, Condition::Absent, left).ok()
}
