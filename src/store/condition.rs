//! When a put may replace the row that is there: the rules by which the table converges.

use std::cmp::Ordering;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::chat::Serial;
use crate::store::key;

/// What must hold of the row in place. The serial is the incoming `version.serial`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is none: an immutable row, or a mere observation.
    Absent,
    /// There is none, or an older version.
    Newer(Serial),
    /// There is none, or not a newer version: at an equal one the later arrival wins, for Ably
    /// gives nothing that orders two summaries of one version.
    NotOlder(Serial),
}

type Expression = (&'static str, HashMap<String, String>, Option<HashMap<String, AttributeValue>>);

impl Condition {
    /// The condition in DynamoDB's terms: expression, names and values.
    pub(super) fn expression(&self) -> Expression {
        let (expression, serial) = match self {
            Self::Absent => ("attribute_not_exists(#pk)", None),
            Self::Newer(serial) => {
                ("attribute_not_exists(#pk) OR #version.#serial < :serial", Some(serial))
            }
            Self::NotOlder(serial) => {
                ("attribute_not_exists(#pk) OR #version.#serial <= :serial", Some(serial))
            }
        };
        let mut names = HashMap::from([("#pk".to_owned(), key::PK.to_owned())]);
        let values = serial.map(|serial| {
            names.insert("#version".into(), "version".into());
            names.insert("#serial".into(), "serial".into());
            HashMap::from([(":serial".to_owned(), AttributeValue::S(serial.0.clone()))])
        });
        (expression, names, values)
    }

    /// Whether of two puts to one row, this one and one that came `earlier`, this one is left: the
    /// same answer the table would give if both were sent in turn.
    #[must_use]
    pub fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Newer(this), Self::Newer(that)) => this.cmp(that) == Ordering::Greater,
            (Self::NotOlder(this), Self::NotOlder(that)) => this.cmp(that) != Ordering::Less,
            (Self::Absent, _) => false,
            (_, Self::Absent) => true,
            // Rows of one key have conditions of one kind, but for `Absent`.
            (Self::Newer(_), Self::NotOlder(_)) | (Self::NotOlder(_), Self::Newer(_)) => false,
        }
    }
}
