use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many requests ended at an endpoint within the last so many seconds, and how many of them failed. Ten slots of
/// one word each, so that to note a request is one compare-and-swap.
#[derive(Debug)]
pub(super) struct Window {
    /// The slot's number in the upper 16 bits, then its requests and its failures, 24 bits each.
    slots: [AtomicU64; SLOTS as usize],
    /// The length of a slot in nanoseconds; zero while nothing is counted.
    slot: AtomicU64,
}

const SLOTS: u64 = 10;
const COUNT_BITS: u32 = 24;
const MOST: u64 = (1 << COUNT_BITS) - 1;
const NUMBER_MASK: u64 = (1 << 16) - 1;

impl Window {
    /// Looks back for so long; not at all for zero.
    pub(super) fn new(length: Duration) -> Self {
        Self { slots: Default::default(), slot: AtomicU64::new(slot_of(length)) }
    }

    /// Looks back for so long from now on. What was counted in slots of another length is forgotten.
    pub(super) fn set_length(&self, length: Duration) {
        if self.slot.swap(slot_of(length), Ordering::Relaxed) != slot_of(length) {
            self.forget();
        }
    }

    /// Whether anything is counted.
    pub(super) fn is_counting(&self) -> bool {
        self.slot.load(Ordering::Relaxed) != 0
    }

    /// Notes the end of a request, at `now` nanoseconds of any clock that does not go back.
    pub(super) fn note(&self, failed: bool, now: u64) {
        let Some(number) = self.number(now) else { return };
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
        let Some(last) = self.number(now) else { return (0, 0) };
        let numbers = last.saturating_sub(SLOTS - 1)..=last;
        let counts = numbers
            .map(|number| counts_of(self.slots[(number % SLOTS) as usize].load(Ordering::Relaxed), number));
        counts.fold((0, 0), |(requests, failures), slot| (requests + slot.0, failures + slot.1))
    }

    /// The number of the slot that is running at `now`.
    fn number(&self, now: u64) -> Option<u64> {
        now.checked_div(self.slot.load(Ordering::Relaxed))
    }

    pub(super) fn forget(&self) {
        self.slots.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }
}

fn slot_of(length: Duration) -> u64 {
    if length.is_zero() { 0 } else { (u64::try_from(length.as_nanos()).unwrap_or(u64::MAX) / SLOTS).max(1) }
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

    #[test]
    fn another_length_begins_anew_and_none_counts_nothing() {
        let window = Window::new(Duration::from_secs(10));
        window.note(true, SECOND);
        window.set_length(Duration::from_secs(10));
        assert_eq!(window.sum(SECOND), (1, 1));
        window.set_length(Duration::from_secs(20));
        assert_eq!(window.sum(SECOND), (0, 0));
        window.set_length(Duration::ZERO);
        window.note(true, SECOND);
        assert_eq!((window.sum(SECOND), window.is_counting()), ((0, 0), false));
    }
}
