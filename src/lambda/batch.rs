//! The answer to a batch of SQS or Kinesis: the records that have to come again (Lambda Developer
//! Guide, "Implementing partial batch responses"). Lambda takes an answer of any other form for
//! success, and a mapping without `ReportBatchItemFailures` does not read it.

use serde::Serialize;

/// The records that have to come again.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailures {
    /// In the order of the event.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// A record that has to come again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// SQS: the message id. Kinesis: the sequence number.
    pub item_identifier: String,
}
