use std::sync::atomic::{AtomicU64, Ordering};

/// Whether anything is counted. A build that counts nothing, made with `EVENER_UNCOUNTED=1`, is what benchmarks tell the cost
/// of counting by; it is of no other use.
pub(crate) const COUNTS: bool = option_env!("EVENER_UNCOUNTED").is_none();

/// A count that only grows, since the process began. Counting takes no lock, and nothing else is ordered by it.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub(crate) fn count(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        if COUNTS {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
