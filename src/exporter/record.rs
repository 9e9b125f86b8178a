//! A record of SQS or Kinesis: a delivery, and how its source names it.

use crate::ingest::delivery::Delivery;
use crate::ingest::parked::Fragment;

/// A record, and what its source calls it in the answer.
pub(super) struct NamedRecord<'a> {
    pub(super) delivery: Delivery<'a>,
    pub(super) identifier: Option<String>,
    /// What it holds of a record that was parked in pieces.
    pub(super) piece: Option<Fragment>,
    /// The identifiers of the other pieces, once they are put together.
    pub(super) others: Vec<Option<String>>,
}

impl<'a> NamedRecord<'a> {
    pub(super) fn new(delivery: Delivery<'a>, identifier: Option<String>) -> Self {
        Self { delivery, identifier, piece: None, others: Vec::new() }
    }
}
