//! What happened within the last minute, by digest: bounded, and without what was digested.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// How long something is remembered.
const AGE: Duration = Duration::from_secs(60);
/// How many things are remembered: a quarter of a MiB.
const MOST: usize = 4_096;

/// SHA-256 of something.
pub(super) type Digest = [u8; 32];

/// The digest of parts, so that no two lists of parts have the same.
pub(super) fn digest(parts: &[&[u8]]) -> Digest {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// How often each thing has happened in the minute since it first did.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<Digest, (Instant, u32)>>);

impl Recent {
    /// How often it has happened.
    pub(super) fn count(&self, digest: &Digest) -> u32 {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .get(digest)
            .filter(|(since, _)| since.elapsed() < AGE)
            .map_or(0, |(_, count)| *count)
    }

    /// It has happened.
    pub(super) fn add(&self, digest: Digest) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST && !entries.contains_key(&digest) {
            entries.retain(|_, (since, _)| since.elapsed() < AGE);
            // Who fills it within a minute makes it forget, and nothing worse.
            if entries.len() >= MOST {
                entries.clear();
            }
        }
        let (since, count) = entries.entry(digest).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= AGE {
            (*since, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_is_remembered() {
        let (recent, it) = (Recent::default(), digest(&[b"a"]));
        recent.add(it);
        tokio::time::advance(Duration::from_secs(59)).await;
        recent.add(it);
        assert_eq!((recent.count(&it), recent.count(&digest(&[b"b"]))), (2, 0));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(recent.count(&it), 0);
        recent.add(it);
        assert_eq!(recent.count(&it), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::default();
        for number in 0..3 * MOST {
            recent.add(digest(&[&number.to_be_bytes()]));
        }
        assert!(recent.0.lock().unwrap().len() <= MOST);
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"a", b""]), digest(&[b"a"]));
    }
}
