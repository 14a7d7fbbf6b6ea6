use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Purge;
use super::purges::{Names, Purges};

/// What was removed lately. What was asked for before and stored after would undo it.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// How many there have been. It changes before anything is removed.
    count: AtomicU64,
    log: Mutex<Log>,
}

/// Each with its number, which is the count with it.
#[derive(Debug, Default)]
struct Log {
    /// The targets of the last ones by their hashes, the oldest first.
    targets: VecDeque<(u64, u64)>,
    /// Those by what operators know answers by.
    purges: Purges,
    /// The number of the last that is not known any more.
    forgotten: u64,
}

/// So many are told apart, of either kind; what was asked for before them is taken for removed.
const MOST: usize = 8192;

impl Removals {
    /// The moment that it is now.
    pub(super) fn now(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// What is kept for a target is about to be removed.
    pub(super) fn note(&self, target: u64) {
        let mut log = self.log.lock();
        if log.targets.len() == MOST
            && let Some((number, _)) = log.targets.pop_front()
        {
            log.forgotten = log.forgotten.max(number);
        }
        let number = self.now() + 1;
        log.targets.push_back((number, target));
        self.count.store(number, Ordering::SeqCst);
    }

    /// What operators mean is about to be removed.
    pub(super) fn note_purge(&self, purge: &Purge) {
        let mut log = self.log.lock();
        let number = self.now() + 1;
        if log.purges.len() == MOST {
            log.purges.clear();
            log.forgotten = number;
        }
        log.purges.add(purge.into(), number);
        self.count.store(number, Ordering::SeqCst);
    }

    /// Whether what is for this target and has these names may have been removed since that moment.
    pub(super) fn has_hit(&self, target: u64, since: u64, names: impl FnOnce() -> Names) -> bool {
        if self.now() == since {
            return false;
        }
        let log = self.log.lock();
        let mut later = log.targets.iter().rev().take_while(|(number, _)| *number > since);
        since < log.forgotten || later.any(|(_, it)| *it == target) || log.purges.mean(since, names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(tag: &str) -> Names {
        Names::new(Vec::new(), std::iter::once(tag.as_bytes()))
    }

    #[test]
    fn only_what_was_removed_since_is_hit() {
        let removals = Removals::default();
        let has_hit = |target, tag: &str, since| removals.has_hit(target, since, || tagged(tag));
        removals.note(1);
        let since = removals.now();
        assert!(!has_hit(1, "a", since));
        removals.note(2);
        assert!(!has_hit(1, "a", since) && has_hit(2, "a", since));
        let later = removals.now();
        assert!(!has_hit(2, "a", later));
        removals.note_purge(&Purge::Tag("a".to_owned()));
        assert!(has_hit(1, "a", since) && has_hit(3, "a", later) && !has_hit(3, "b", later));
        assert!(!has_hit(1, "a", removals.now()));
        removals.note_purge(&Purge::All);
        assert!(has_hit(3, "b", later));
    }

    #[test]
    fn what_is_no_longer_known_is_taken_for_a_hit() {
        let removals = Removals::default();
        let has_hit = |since| removals.has_hit(2, since, || tagged("a"));
        let since = removals.now();
        for _ in 0..MOST {
            removals.note(1);
        }
        assert!(!has_hit(since));
        removals.note(1);
        assert!(has_hit(since));
        let since = removals.now();
        for number in 0..MOST {
            removals.note_purge(&Purge::Tag(number.to_string()));
        }
        assert!(!has_hit(since));
        removals.note_purge(&Purge::Tag("more".to_owned()));
        assert!(has_hit(since) && !has_hit(removals.now()));
    }
}
