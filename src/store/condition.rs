//! When a put may replace the row that is there: the rules by which the table converges.

use std::cmp::Ordering;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::chat::Serial;
use crate::store::{item, key};

/// What must hold of the row in place. The serial is the incoming `version.serial`; the number,
/// when the incoming event arrived, in ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is none: an immutable row, or a mere observation.
    Absent,
    /// There is none, or an older version.
    Newer(Serial),
    /// There is an older version: a row that another `VERSIONS` has left must not stay behind.
    Older(Serial),
    /// There is none, or an older version, or the same and it did not arrive later: Ably gives
    /// nothing else that orders two summaries of one version.
    NotOlder(Serial, i64),
    /// There is none, or no newer version: what Ably's REST API says of a version wins.
    NotNewer(Serial),
}

type Expression = (&'static str, HashMap<String, String>, Option<HashMap<String, AttributeValue>>);

/// A summary that rode on a version has no time of arrival, and yields to any of its own right.
const NOT_OLDER: &str = "attribute_not_exists(#pk) OR #version.#serial < :serial OR \
    (#version.#serial = :serial AND (attribute_not_exists(#received) OR #received <= :received))";

impl Condition {
    /// The condition in DynamoDB's terms: expression, names and values.
    pub(super) fn expression(&self) -> Expression {
        let mut names = HashMap::new();
        if !matches!(self, Self::Older(_)) {
            names.insert("#pk".to_owned(), key::PK.to_owned());
        }
        let (expression, serial, received_at) = match self {
            Self::Absent => return ("attribute_not_exists(#pk)", names, None),
            Self::Newer(serial) => {
                ("attribute_not_exists(#pk) OR #version.#serial < :serial", serial, None)
            }
            Self::Older(serial) => ("#version.#serial < :serial", serial, None),
            Self::NotOlder(serial, received_at) => (NOT_OLDER, serial, Some(received_at)),
            Self::NotNewer(serial) => {
                ("attribute_not_exists(#pk) OR #version.#serial <= :serial", serial, None)
            }
        };
        names.insert("#version".into(), "version".into());
        names.insert("#serial".into(), "serial".into());
        let mut values =
            HashMap::from([(":serial".to_owned(), AttributeValue::S(serial.0.clone()))]);
        if let Some(received_at) = received_at {
            names.insert("#received".into(), item::RECEIVED_AT.into());
            values.insert(":received".into(), AttributeValue::N(received_at.to_string()));
        }
        (expression, names, Some(values))
    }

    /// Whether the order of arrival decides about the row.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        matches!(self, Self::NotOlder(..))
    }

    /// Whether of two puts to one row, this one and one that came `earlier`, this one is left: the
    /// same answer the table would give if both were sent in turn.
    #[must_use]
    pub fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Newer(this), Self::Newer(that)) | (Self::Older(this), Self::Older(that)) => {
                this.is_newer_than(that)
            }
            (Self::NotOlder(this, arrived), Self::NotOlder(that, before)) => {
                (this, arrived).cmp(&(that, before)) != Ordering::Less
            }
            (Self::Absent, _) => false,
            (_, Self::Absent) => true,
            // Rows of one key have conditions of one kind, but for `Absent`; replacements are not
            // folded.
            (Self::Newer(_) | Self::Older(_) | Self::NotOlder(..) | Self::NotNewer(_), _) => false,
        }
    }
}
