//! A put: one row, and the condition of writing it.

use std::sync::Arc;

use crate::store::condition::Condition;
use crate::store::error::Unstorable;
use crate::store::item::{self, Item};
use crate::store::key::Key;

/// One row, and when it may be written.
#[derive(Clone, Debug)]
pub struct Put {
    /// Where.
    pub key: Key,
    /// Whether.
    pub condition: Condition,
    /// The rows of one version share it.
    item: Arc<Item>,
    /// Whether nobody is expected to have written it yet, whatever its condition.
    is_first: bool,
}

impl Put {
    pub(super) fn new(
        key: Key,
        condition: Condition,
        item: impl Into<Arc<Item>>,
    ) -> Result<Self, Unstorable> {
        let put = Self { key, condition, item: item.into(), is_first: false };
        match put.bytes() {
            bytes if bytes > item::MAX_BYTES => Err(Unstorable::TooLarge(bytes)),
            _ => Ok(put),
        }
    }

    /// DynamoDB's write units: one for each KB begun.
    #[must_use]
    pub fn write_units(&self) -> u64 {
        self.bytes().div_ceil(1_024) as u64
    }

    /// The same row, of which `is_first` says whether nobody is expected to have written it yet.
    pub(super) fn expected_first(self, is_first: bool) -> Self {
        Self { is_first, ..self }
    }

    /// Whether "put if none is there" nearly always does what the condition asks for.
    pub(super) fn is_likely_absent(&self) -> bool {
        match self.condition {
            Condition::Absent => true,
            Condition::Newer(_) => self.is_first,
            Condition::Older(_) | Condition::NotOlder(..) | Condition::NotNewer(_) => false,
        }
    }

    /// Bytes that DynamoDB counts.
    pub(super) fn bytes(&self) -> usize {
        let key = self.key.pk.len() + self.key.sk.len() + item::KEY_NAME_BYTES;
        item::size(&self.item) + key
    }

    /// The attributes without the key.
    pub(super) fn item(&self) -> &Item {
        &self.item
    }

    pub(super) fn into_item(self) -> Item {
        let mut item = Arc::unwrap_or_clone(self.item);
        item.extend(self.key.attributes());
        item
    }
}
