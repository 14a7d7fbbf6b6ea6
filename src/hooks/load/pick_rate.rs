use std::sync::atomic::{AtomicU64, Ordering};

/// How often an endpoint was picked lately: the picks of the running slice of time and, as far as it still reaches
/// into the last one, of the slice before. One word, so that an update is one compare-and-swap.
#[derive(Debug)]
pub(crate) struct PickRate {
    /// The slice's number in the upper 24 bits, then its picks and those of the slice before, 20 bits each.
    packed: AtomicU64,
}

/// Half a second in nanoseconds.
const SLICE: u64 = 500_000_000;
const COUNT_BITS: u32 = 20;
const MOST: u64 = (1 << COUNT_BITS) - 1;
const SLICE_MASK: u64 = (1 << 24) - 1;

impl PickRate {
    pub(super) fn new() -> Self {
        Self { packed: AtomicU64::new(0) }
    }

    pub(super) fn note(&self, now: u64) {
        let next = |packed| {
            let (running, before) = counts_at(packed, now);
            Some(pack(slice_of(now), (running + 1).min(MOST), before))
        };
        // The closure always gives a value, so the update cannot fail.
        let _ = self.packed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// About how many picks there were within the last slice's length, in 1024ths.
    pub(super) fn recent(&self, now: u64) -> u64 {
        let (running, before) = counts_at(self.packed.load(Ordering::Relaxed), now);
        let passed = (now % SLICE) * 1024 / SLICE;
        running * 1024 + before * (1024 - passed)
    }
}

fn slice_of(now: u64) -> u64 {
    (now / SLICE) & SLICE_MASK
}

fn pack(slice: u64, running: u64, before: u64) -> u64 {
    slice << (2 * COUNT_BITS) | running << COUNT_BITS | before
}

/// The picks of the slice that is running at `now` and of the one before it.
fn counts_at(packed: u64, now: u64) -> (u64, u64) {
    let (running, before) = ((packed >> COUNT_BITS) & MOST, packed & MOST);
    match slice_of(now).wrapping_sub(packed >> (2 * COUNT_BITS)) & SLICE_MASK {
        0 => (running, before),
        1 => (0, running),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_recent() {
        let rate = PickRate::new();
        (0..100).for_each(|_| rate.note(3 * SLICE));
        assert_eq!(rate.recent(3 * SLICE) / 1024, 100);
        assert_eq!(rate.recent(4 * SLICE + SLICE / 2) / 1024, 50);
        assert_eq!(rate.recent(5 * SLICE), 0);
    }

    #[test]
    fn a_full_count_stays_full() {
        let rate = PickRate { packed: AtomicU64::new(pack(0, MOST, MOST)) };
        rate.note(0);
        assert_eq!(counts_at(rate.packed.load(Ordering::Relaxed), 0), (MOST, MOST));
    }
}
