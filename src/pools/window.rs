use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many requests ended at an endpoint within the last so many seconds, and how many of them failed. Ten slots of
/// one word each, so that to note a request is one compare-and-swap.
#[derive(Debug)]
pub(super) struct Window {
    /// The slot's number in the upper 16 bits, then its requests and its failures, 24 bits each.
    slots: [AtomicU64; SLOTS as usize],
    /// The length of a slot in nanoseconds.
    slot: u64,
}

const SLOTS: u64 = 10;
const COUNT_BITS: u32 = 24;
const MOST: u64 = (1 << COUNT_BITS) - 1;
const NUMBER_MASK: u64 = (1 << 16) - 1;

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let slot = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX) / SLOTS;
        Self { slots: Default::default(), slot: slot.max(1) }
    }

    /// Notes the end of a request, at `now` nanoseconds of any clock that does not go back.
    pub(super) fn note(&self, failed: bool, now: u64) {
        let number = now / self.slot;
        let next = |packed| {
            let (requests, failures) = counts_of(packed, number);
            Some(pack(number, (requests + 1).min(MOST), (failures + u64::from(failed)).min(MOST)))
        };
        let slot = &self.slots[(number % SLOTS) as usize];
        // The closure always gives a value, so the update cannot fail.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// Requests and failures of the window that ends at `now`.
    pub(super) fn sum(&self, now: u64) -> (u64, u64) {
        let last = now / self.slot;
        let numbers = last.saturating_sub(SLOTS - 1)..=last;
        let counts = numbers
            .map(|number| counts_of(self.slots[(number % SLOTS) as usize].load(Ordering::Relaxed), number));
        counts.fold((0, 0), |(requests, failures), slot| (requests + slot.0, failures + slot.1))
    }

    pub(super) fn forget(&self) {
        self.slots.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }
}

fn pack(number: u64, requests: u64, failures: u64) -> u64 {
    (number & NUMBER_MASK) << (2 * COUNT_BITS) | requests << COUNT_BITS | failures
}

/// The counts of a slot, if they are of the slot of that number.
fn counts_of(packed: u64, number: u64) -> (u64, u64) {
    if packed >> (2 * COUNT_BITS) == number & NUMBER_MASK {
        ((packed >> COUNT_BITS) & MOST, packed & MOST)
    } else {
        (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn forgets_what_is_older_than_the_window() {
        let window = Window::new(Duration::from_secs(10));
        (0..4).for_each(|i| window.note(i % 2 == 0, SECOND));
        window.note(true, 5 * SECOND);
        assert_eq!(window.sum(9 * SECOND), (5, 3));
        assert_eq!(window.sum(11 * SECOND), (1, 1));
        assert_eq!(window.sum(100 * SECOND), (0, 0));
        window.note(false, 11 * SECOND);
        assert_eq!(window.sum(11 * SECOND), (2, 1));
        window.forget();
        assert_eq!(window.sum(11 * SECOND), (0, 0));
    }
}
