//! Memory for pages: bytes, not pages, limit what is fetched at once. Rooms that are walked beside
//! each other share it. Nobody waits for it who would
//! have to go on for some of it to be given back.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted: permits of a semaphore are too few for bytes.
const UNIT: usize = 64 << 10;
/// All pages together. Reading one takes twice its size for a moment.
const TOTAL: usize = 48 << 20;
/// One page; a larger one is asked for in parts.
pub(super) const MOST: usize = 8 << 20;
/// What a page is taken to need before it is known.
pub(super) const USUAL: usize = 2 << 20;

/// The memory that is left.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Semaphore>);

/// Memory that a page has, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Budget,
    permit: OwnedSemaphorePermit,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(units(TOTAL))))
    }

    /// Waits for this number of bytes, at most all there are.
    pub(super) async fn reserve(&self, bytes: usize) -> Held {
        let count = u32::try_from(units(bytes.min(TOTAL))).unwrap_or(1);
        let permit = Arc::clone(&self.0).acquire_many_owned(count).await;
        Held { budget: self.clone(), permit: permit.expect("the semaphore is never closed") }
    }
}

impl Held {
    /// Takes what is lacking to this number of bytes, if it is there at once; whether it was.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let lacking = units(bytes).saturating_sub(self.permit.num_permits());
        let more = u32::try_from(lacking)
            .map(|count| Arc::clone(&self.budget.0).try_acquire_many_owned(count));
        match more {
            Ok(Ok(more)) => {
                self.permit.merge(more);
                true
            }
            _ => false,
        }
    }

    /// Gives back what is not needed for this number of bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.permit.num_permits().saturating_sub(units(bytes));
        drop(self.permit.split(surplus));
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_is_given_back() {
        let budget = Budget::new();
        let left = || budget.0.available_permits();
        let all = left();
        let mut one = budget.reserve(USUAL).await;
        assert_eq!(left(), all - units(USUAL));
        assert!(one.grow_to(MOST) && left() == all - units(MOST));
        one.shrink_to(1);
        assert_eq!(left(), all - 1);
        let mut two = budget.reserve(TOTAL - UNIT).await;
        assert!(!one.grow_to(UNIT + 1) && one.grow_to(UNIT));
        two.shrink_to(USUAL);
        assert!(one.grow_to(MOST));
        drop((one, two));
        assert_eq!(left(), all);
        // More than there is would be waited for without end.
        assert_eq!(units(TOTAL), budget.reserve(usize::MAX).await.permit.num_permits());
    }
}
