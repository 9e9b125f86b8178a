//! The messages in hand, counted in bytes: the broker counts messages only, and one may have as
//! many bytes as a thousand others. So it gets a number that fits, by the sizes of those that
//! came.

use std::collections::VecDeque;

use crate::queue::broker::{Arrived, Ended};

/// Messages to begin with: these fit, even if each is as big as Ably lets them be.
pub(super) const FIRST_PREFETCH: u16 = 128;
/// Bytes in hand that the broker's number aims at.
const BYTES: usize = 32 << 20;
/// Bytes in hand beyond which nothing more is kept: messages have become big all at once.
const MOST_BYTES: usize = 48 << 20;
/// Bytes stored together; each becomes several on its way into rows and requests.
const BATCH_BYTES: usize = 8 << 20;
/// What a message takes beside its body.
const OVERHEAD: usize = 1_024;

impl Arrived {
    fn bytes(&self) -> usize {
        self.message.data.len() + OVERHEAD
    }
}

/// Messages that are not acknowledged yet.
pub(super) struct Hand {
    waiting: VecDeque<Arrived>,
    /// Of those that wait, and those that are being stored.
    bytes: usize,
    count: usize,
    /// Bytes of a message, by the last batches.
    mean: usize,
    /// How many queues share the bytes.
    queues: usize,
    /// Why nothing more comes, or is kept.
    end: Option<Ended>,
}

impl Hand {
    pub(super) fn new(queues: usize) -> Self {
        let waiting = VecDeque::new();
        Self { waiting, bytes: 0, count: 0, mean: 0, queues, end: None }
    }

    /// Takes what comes. What is not kept goes back to the queue when the session ends, in its
    /// order.
    pub(super) fn add(&mut self, arrived: Result<Arrived, Ended>) {
        match arrived {
            Err(ended) => self.end = Some(ended),
            Ok(_) if self.end.is_some() => {}
            Ok(taken) if self.count > 0 && self.bytes + taken.bytes() > MOST_BYTES => {
                self.end = Some(Ended::TooMuch(self.fitting(self.bytes / self.count)));
            }
            Ok(taken) => {
                self.bytes += taken.bytes();
                self.count += 1;
                self.waiting.push_back(taken);
            }
        }
    }

    /// Whether the connection still has something to say.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.end, None | Some(Ended::TooMuch(_)))
    }

    /// Why there is nothing more to store.
    pub(super) fn over(&mut self) -> Option<Ended> {
        // What is kept can be stored and acknowledged as long as there is a connection.
        if self.is_open() && !self.waiting.is_empty() { None } else { self.end.take() }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next messages to be stored together, `most` of them.
    pub(super) fn batch(&mut self, most: usize) -> Vec<Arrived> {
        let mut bytes = 0;
        let fits = |taken: &&Arrived| {
            bytes += taken.bytes();
            bytes <= BATCH_BYTES
        };
        let fitting = self.waiting.iter().take(most).take_while(fits).count();
        let count = fitting.max(1).min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }

    /// Lets go of a batch that has been dealt with.
    pub(super) fn done(&mut self, batch: &[Arrived]) {
        let bytes: usize = batch.iter().map(Arrived::bytes).sum();
        self.bytes -= bytes;
        self.count -= batch.len();
        if let Some(mean) = bytes.checked_div(batch.len()) {
            // Up at once, down by and by.
            self.mean = mean.max((self.mean * 3 + mean) / 4);
        }
    }

    /// What to tell the broker instead of `prefetch`, where it makes a difference; `limit` at most.
    pub(super) fn better(&self, prefetch: u16, limit: u16, is_in_demand: bool) -> Option<u16> {
        if self.end.is_some() {
            return None;
        }
        let fitting = self.fitting(self.mean).min(limit);
        let grows =
            is_in_demand && fitting > prefetch && fitting >= limit.min(prefetch.saturating_mul(2));
        (grows || fitting <= prefetch / 2).then_some(fitting)
    }

    fn fitting(&self, mean: usize) -> u16 {
        let messages = BYTES / mean.max(1) / self.queues.max(1);
        u16::try_from(messages).unwrap_or(u16::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: usize) -> Result<Arrived, Ended> {
        let message = lapin::message::Delivery::mock(
            1,
            "".into(),
            "".into(),
            false,
            vec![0; bytes - OVERHEAD],
        );
        Ok(Arrived { queue: 0, message })
    }

    fn hand(sizes: &[usize]) -> Hand {
        let mut hand = Hand::new(1);
        sizes.iter().for_each(|bytes| hand.add(taken(*bytes)));
        hand
    }

    #[test]
    fn a_batch_is_cut_by_number_and_by_bytes() {
        let mut hand = hand(&[2_048, 2_048, 2_048, 7 << 20, 2 << 20, 9 << 20, 2_048]);
        let mut sizes = || hand.batch(2).len();
        assert_eq!([sizes(), sizes(), sizes(), sizes(), sizes(), sizes()], [2, 2, 1, 1, 1, 0]);
    }

    #[test]
    fn the_broker_is_told_what_fits() {
        let after = |bytes: usize, count: usize, prefetch: u16, is_in_demand: bool| {
            let mut hand = hand(&vec![bytes; count]);
            let batch = hand.batch(count);
            hand.done(&batch);
            hand.better(prefetch, 1_000, is_in_demand)
        };
        assert_eq!(after(2_048, 64, 128, true), Some(1_000), "small ones, all at once");
        assert_eq!(after(2_048, 64, 128, false), None, "nobody waits");
        assert_eq!(after(2_048, 64, 1_000, true), None);
        assert_eq!(after(256 << 10, 10, 128, true), None, "as expected at the beginning");
        assert_eq!(after(256 << 10, 10, 1_000, false), Some(128));
        assert_eq!(after(256 << 10, 10, 200, true), None, "not for a little");
        assert_eq!(after(64 << 20, 1, 128, true), Some(1));
    }

    #[test]
    fn too_much_in_hand_ends_the_session_once_it_is_stored() {
        let mut hand = hand(&vec![1 << 20; 60]);
        assert_eq!(hand.waiting(), 48);
        assert!(hand.is_open() && hand.over().is_none());
        while hand.waiting() > 0 {
            let batch = hand.batch(100);
            hand.done(&batch);
        }
        assert!(matches!(hand.over(), Some(Ended::TooMuch(32))));
    }
}
