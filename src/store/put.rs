//! A put: one row, and the condition of writing it.

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
    item: Item,
}

impl Put {
    pub(super) fn new(key: Key, condition: Condition, item: Item) -> Result<Self, Unstorable> {
        let put = Self { key, condition, item };
        match item::size(&put.item) + put.key.pk.len() + put.key.sk.len() + item::KEY_NAME_BYTES {
            bytes if bytes > item::MAX_BYTES => Err(Unstorable::TooLarge(bytes)),
            _ => Ok(put),
        }
    }

    /// DynamoDB's write units: one for each KB begun.
    #[must_use]
    pub fn write_units(&self) -> u64 {
        let bytes = item::size(&self.item) + self.key.pk.len() + self.key.sk.len();
        (bytes + item::KEY_NAME_BYTES).div_ceil(1_024) as u64
    }

    pub(super) fn into_item(self) -> Item {
        let mut item = self.item;
        item.extend(self.key.attributes());
        item
    }
}
