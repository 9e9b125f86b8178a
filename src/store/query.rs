//! A query over a room's rows: the one way in which many are read.

use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_async::future::pagination_stream::PaginationStream;

use crate::chat::RoomName;
use crate::store::error::StoreError;
use crate::store::item::Item;
use crate::store::key;
use crate::store::table::Store;

/// In which order a page lists messages, by serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The latest first.
    NewestFirst,
    /// The earliest first.
    OldestFirst,
}

/// How a room's rows are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) direction: Direction,
    /// Items of one answer at most; `None` for as many as DynamoDB gives.
    pub(super) page_size: Option<usize>,
    /// Whether the rows are wanted, and not their keys alone. Both are billed the same.
    pub(super) is_whole: bool,
}

impl Asked {
    /// Whole rows, oldest first, in answers as large as DynamoDB makes them.
    pub(super) const OLDEST_FIRST: Self =
        Self { direction: Direction::OldestFirst, page_size: None, is_whole: true };
}

type SdkError = aws_sdk_dynamodb::error::SdkError<QueryError>;
pub(super) type Items = PaginationStream<Result<Item, SdkError>>;

impl Store {
    /// The items of a room whose sort key lies within `bounds`, both included, page after page.
    pub(super) fn items(
        &self,
        room: &RoomName,
        bounds: (String, String),
        Asked { direction, page_size, is_whole }: Asked,
        is_consistent: bool,
    ) -> Items {
        let (low, high) = bounds;
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :low AND :high")
            .expression_attribute_names("#pk", key::PK)
            .expression_attribute_names("#sk", key::SK)
            .expression_attribute_values(":pk", AttributeValue::S(room.0.clone()))
            .expression_attribute_values(":low", AttributeValue::S(low))
            .expression_attribute_values(":high", AttributeValue::S(high))
            .scan_index_forward(direction == Direction::OldestFirst)
            .consistent_read(is_consistent);
        let page_size = page_size.and_then(|size| i32::try_from(size).ok());
        let keys = (!is_whole).then(|| "#pk, #sk".to_owned());
        let query = query.set_projection_expression(keys);
        query.set_limit(page_size).into_paginator().items().send()
    }

    pub(super) fn unread(&self, error: &SdkError) -> StoreError {
        StoreError::from_sdk("dynamodb:Query", &self.table, error)
    }

    pub(super) fn unreadable(&self, item: &Item, reason: &str) -> StoreError {
        let sort_key = item.get(key::SK).and_then(|value| value.as_s().ok());
        StoreError::unreadable(&self.table, sort_key.map_or("", String::as_str), reason)
    }
}
