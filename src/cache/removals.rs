use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// What was removed lately, by hash. What was asked for before and stored after would undo it.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// How many there have been. It changes before anything is removed.
    count: AtomicU64,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// The last ones, up to the count.
    hashes: VecDeque<u128>,
    /// So many were there when something was removed that no single hash tells.
    all: u64,
}

/// So many are told apart; what was asked for before them is taken for removed.
const MOST: usize = 8192;

impl Removals {
    /// The moment that it is now.
    pub(super) fn now(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// What has this hash is about to be removed.
    pub(super) fn note(&self, hash: u128) {
        let mut log = self.log.lock();
        if log.hashes.len() == MOST {
            log.hashes.pop_front();
        }
        log.hashes.push_back(hash);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// What may have any hash is about to be removed.
    pub(super) fn note_all(&self) {
        let mut log = self.log.lock();
        log.hashes.clear();
        log.all = self.count.fetch_add(1, Ordering::SeqCst) + 1;
    }

    /// Whether what has this hash may have been removed since that moment.
    pub(super) fn has_hit(&self, hash: u128, since: u64) -> bool {
        if self.now() == since {
            return false;
        }
        let log = self.log.lock();
        let later = usize::try_from(self.now() - since).unwrap_or(usize::MAX);
        since < log.all
            || later > log.hashes.len()
            || log.hashes.iter().rev().take(later).any(|it| *it == hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_removed_since_is_hit() {
        let removals = Removals::default();
        removals.note(1);
        let since = removals.now();
        assert!(!removals.has_hit(1, since));
        removals.note(2);
        assert!(!removals.has_hit(1, since) && removals.has_hit(2, since));
        let later = removals.now();
        assert!(!removals.has_hit(2, later));
        removals.note_all();
        assert!(removals.has_hit(1, since) && removals.has_hit(3, later));
        assert!(!removals.has_hit(1, removals.now()));
    }

    #[test]
    fn what_is_no_longer_known_is_taken_for_a_hit() {
        let removals = Removals::default();
        let since = removals.now();
        for _ in 0..MOST {
            removals.note(1);
        }
        assert!(!removals.has_hit(2, since));
        removals.note(1);
        assert!(removals.has_hit(2, since));
    }
}
