//! Inserts new rows, many in one request (`BatchExecuteStatement`): the fast path of a conditional
//! put where nobody is there. Each statement stands for itself, in DynamoDB's answer and on its
//! bill.

use std::collections::HashSet;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_execute_statement::BatchExecuteStatementError;
use aws_sdk_dynamodb::types::{
    BatchStatementError, BatchStatementErrorCodeEnum as Code, BatchStatementResponse,
};
use tokio::time::{Instant, timeout_at};

use crate::aws;
use crate::store::error::StoreError;
use crate::store::pace::Pace;
use crate::store::put::Put;
use crate::store::statement::Statements;
use crate::store::table::Store;

/// Statements that a request may hold (`BatchExecuteStatement`, Amazon DynamoDB API Reference).
const MOST_STATEMENTS: usize = 25;
/// Bytes of items in a request, as DynamoDB counts them: those of two large ones.
const MOST_BYTES: usize = 1 << 20;
/// The IAM action.
const ACTION: &str = "dynamodb:PartiQLInsert";

/// A row and its place among those that are written together.
pub(super) type Row = (usize, Put);

/// What became of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// The row is the one that was sent.
    Stored,
    /// A row was there already.
    Duplicate,
    /// The row or its statement is not right: a put will show.
    Invalid,
    /// It is not known: a put will show.
    Unknown,
}

/// Divides rows into requests. No key is twice in one, which DynamoDB refuses.
pub(super) fn requests(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut requests: Vec<Vec<Row>> = Vec::with_capacity(rows.len().div_ceil(MOST_STATEMENTS));
    let (mut keys, mut bytes) = (HashSet::new(), 0);
    for (row, put) in rows {
        bytes += put.bytes();
        let is_full = |request: &Vec<Row>| request.len() == MOST_STATEMENTS || bytes > MOST_BYTES;
        let fits = !keys.contains(&put.key) && requests.last().is_some_and(|it| !is_full(it));
        if !fits {
            requests.push(Vec::new());
            keys.clear();
            bytes = put.bytes();
        }
        keys.insert(put.key.clone());
        requests.last_mut().expect("one was pushed").push((row, put));
    }
    requests
}

impl Store {
    /// Whether rows may be inserted now. A table that throttles is written to row by row, at its
    /// pace: it is what takes the time then.
    pub(super) fn can_insert(&self, deadline: Instant) -> bool {
        self.fast_path.is_open()
            && self.pace().is_none_or(Pace::is_free)
            && Instant::now() < deadline
    }

    /// Inserts the rows of one request; what became of each. Nothing is tried again here.
    pub(super) async fn insert(&self, rows: &[Row], deadline: Instant) -> Vec<Inserted> {
        let unknown = || vec![Inserted::Unknown; rows.len()];
        let mut statements = Statements::new(&self.table);
        let statements = rows.iter().map(|(_, put)| statements.insert(put));
        let Some(statements) = statements.collect::<Option<Vec<_>>>() else { return unknown() };
        let request = self.client_of_inserts().batch_execute_statement();
        let request = request.set_statements(Some(statements)).send();
        let begun = Instant::now();
        let answer = match self.pace() {
            Some(pace) => pace.attempt(deadline, request).await,
            None => timeout_at(deadline, request).await.ok(),
        };
        match answer {
            Some(Ok(output)) if output.responses().len() == rows.len() => {
                self.read(begun, output.responses())
            }
            Some(Err(error)) => {
                self.failed(begun, &error);
                unknown()
            }
            Some(Ok(_)) | None => unknown(),
        }
    }

    fn read(&self, begun: Instant, answers: &[BatchStatementResponse]) -> Vec<Inserted> {
        let inserted = answers.iter().map(|answer| match &answer.error {
            None => Inserted::Stored,
            Some(error) => match &error.code {
                Some(Code::DuplicateItem) => Inserted::Duplicate,
                Some(Code::ValidationError) => Inserted::Invalid,
                _ => Inserted::Unknown,
            },
        });
        let inserted: Vec<_> = inserted.collect();
        let mut errors = answers.iter().filter_map(|answer| answer.error.as_ref());
        if let Some(denied) = errors.clone().find(|it| it.code == Some(Code::AccessDenied)) {
            self.fast_path.close(&describe(denied));
        }
        if let Some(pace) = self.pace() {
            if inserted.iter().any(|it| matches!(it, Inserted::Stored | Inserted::Duplicate)) {
                pace.answered(begun, true);
            }
            if let Some(error) = errors.find(|error| is_transient(error)) {
                pace.failed(begun, &self.transient(describe(error)));
            }
        }
        inserted
    }

    /// No statement has an answer of its own.
    fn failed(&self, begun: Instant, error: &SdkError<BatchExecuteStatementError>) {
        let reason = aws::describe(error);
        match error.code() {
            Some("AccessDeniedException" | "AccessDenied" | "UnknownOperationException") => {
                self.fast_path.close(&reason);
            }
            Some("ValidationException") => {}
            _ => {
                if let Some(pace) = self.pace() {
                    pace.failed(begun, &self.transient(reason));
                }
            }
        }
    }

    fn transient(&self, detail: String) -> StoreError {
        StoreError { action: ACTION, table: self.table.clone(), detail, is_retryable: true }
    }
}

fn is_transient(error: &BatchStatementError) -> bool {
    use Code::{
        InternalServerError, ProvisionedThroughputExceeded, RequestLimitExceeded, ThrottlingError,
    };
    let transient =
        [InternalServerError, ProvisionedThroughputExceeded, RequestLimitExceeded, ThrottlingError];
    error.code.as_ref().is_some_and(|code| transient.contains(code))
}

fn describe(error: &BatchStatementError) -> String {
    let code = error.code.as_ref().map_or("unknown error", |code| code.as_str());
    match &error.message {
        Some(message) => format!("{code}: {message}"),
        None => code.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::chat::{RoomName, Serial};
    use crate::store::condition::Condition;
    use crate::store::key::Key;

    fn row(serial: usize, bytes: usize) -> Row {
        let key = Key::message(&RoomName("r".into()), &Serial(serial.to_string())).unwrap();
        let item = HashMap::from([("text".into(), AttributeValue::S("x".repeat(bytes)))]);
        (serial, Put::new(key, Condition::Absent, item).unwrap())
    }

    fn sizes(rows: Vec<Row>) -> Vec<usize> {
        requests(rows).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_request_is_cut_by_number_by_bytes_and_by_keys() {
        assert_eq!(sizes(vec![]), [0; 0]);
        assert_eq!(sizes((0..60).map(|it| row(it, 9)).collect()), [25, 25, 10]);
        assert_eq!(sizes((0..5).map(|it| row(it, 400_000)).collect()), [2, 2, 1]);
        let sizes_around_a_large_one = [100_000, 400_000, 400_000, 200_000, 1];
        let rows = sizes_around_a_large_one.into_iter().enumerate();
        assert_eq!(sizes(rows.map(|(it, bytes)| row(it, bytes)).collect()), [3, 2]);
        assert_eq!(sizes([1, 2, 1, 3, 2, 2].map(|it| row(it, 9)).into()), [2, 3, 1]);
    }
}
