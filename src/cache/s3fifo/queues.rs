use std::collections::{HashSet, VecDeque};

/// In which queue a value waits to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Where values begin.
    Small,
    /// Where those go that were asked for again.
    Main,
}

/// A value's place in a queue; one whose turn is not that of the value any more is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: u128,
    pub(super) turn: u64,
}

/// The keys of what was given up lately. Those who come back soon begin in the main queue.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    order: VecDeque<u64>,
    known: HashSet<u64, foldhash::fast::FixedState>,
}

impl Ghosts {
    pub(super) fn remember(&mut self, key: u128, most: usize) {
        let print = fingerprint(key);
        if self.known.insert(print) {
            self.order.push_back(print);
        }
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// Whether it was there. Its place in the order goes when its turn comes.
    pub(super) fn contains(&self, key: u128) -> bool {
        self.known.contains(&fingerprint(key))
    }
}

/// Keys are hashes.
fn fingerprint(key: u128) -> u64 {
    key as u64
}
