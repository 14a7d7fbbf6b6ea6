use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Weigh;
use super::queues::{Ghosts, Place, Queue};

/// A part of the values, with its queues. The small one takes a tenth of the bytes.
#[derive(Debug)]
pub(super) struct Shard<V> {
    slots: HashMap<u128, Slot<V>, foldhash::fast::FixedState>,
    /// In their order, by which those that belong together are found.
    keys: BTreeSet<u128>,
    small: VecDeque<Place>,
    main: VecDeque<Place>,
    small_bytes: usize,
    main_bytes: usize,
    ghosts: Ghosts,
    turns: u64,
}

#[derive(Debug)]
struct Slot<V> {
    value: Arc<V>,
    weight: usize,
    queue: Queue,
    turn: u64,
    /// How often it was asked for lately, up to [`MOST_HITS`].
    hits: AtomicU8,
}

const MOST_HITS: u8 = 3;
/// So many times is a value asked for before it is worth a place in the main queue.
const WORTH_KEEPING: u8 = 1;

/// What came of the oldest of a queue.
enum Turn {
    /// It went, and weighed so much.
    Gone(u128, usize),
    /// It has another place, or had none any more.
    Stays,
}

impl<V> Default for Shard<V> {
    fn default() -> Self {
        Self {
            slots: HashMap::default(),
            keys: BTreeSet::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            small_bytes: 0,
            main_bytes: 0,
            ghosts: Ghosts::default(),
            turns: 0,
        }
    }
}

impl<V: Weigh> Shard<V> {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn peek(&self, key: u128) -> Option<&Arc<V>> {
        self.slots.get(&key).map(|slot| &slot.value)
    }

    pub(super) fn get(&self, key: u128) -> Option<Arc<V>> {
        let slot = self.slots.get(&key)?;
        let hits = slot.hits.load(Ordering::Relaxed);
        // What is asked for all the time is not written to any more.
        if hits < MOST_HITS {
            slot.hits.store(hits + 1, Ordering::Relaxed);
        }
        Some(slot.value.clone())
    }

    /// The keys whose upper half that is.
    pub(super) fn group(&self, upper: u64) -> impl Iterator<Item = u128> {
        let first = u128::from(upper) << 64;
        self.keys.range(first..=first | u128::from(u64::MAX)).copied()
    }

    /// How many bytes came, and how many went with the value before.
    pub(super) fn insert(&mut self, key: u128, value: Arc<V>) -> (usize, usize) {
        let weight = value.weight();
        if let Some(slot) = self.slots.get_mut(&key) {
            let former = std::mem::replace(&mut slot.weight, weight);
            slot.value = value;
            let bytes = of_queue(slot.queue, &mut self.small_bytes, &mut self.main_bytes);
            *bytes = *bytes + weight - former;
            return (weight, former);
        }
        let queue = if self.ghosts.contains(key) { Queue::Main } else { Queue::Small };
        let turn = self.enqueue(key, queue, weight);
        self.keys.insert(key);
        self.slots.insert(key, Slot { value, weight, queue, turn, hits: AtomicU8::new(0) });
        (weight, 0)
    }

    fn enqueue(&mut self, key: u128, queue: Queue, weight: usize) -> u64 {
        self.turns += 1;
        *of_queue(queue, &mut self.small_bytes, &mut self.main_bytes) += weight;
        let place = Place { key, turn: self.turns };
        of_queue(queue, &mut self.small, &mut self.main).push_back(place);
        self.turns
    }

    /// What it weighed.
    pub(super) fn remove(&mut self, key: u128) -> Option<usize> {
        self.take(key).map(|(_, weight)| weight)
    }

    fn take(&mut self, key: u128) -> Option<(Arc<V>, usize)> {
        let slot = self.slots.remove(&key)?;
        self.keys.remove(&key);
        *of_queue(slot.queue, &mut self.small_bytes, &mut self.main_bytes) -= slot.weight;
        self.tidy();
        Some((slot.value, slot.weight))
    }

    /// What went, and how many bytes that were.
    pub(super) fn remove_if(&mut self, is_meant: impl Fn(&V) -> bool) -> (Vec<Arc<V>>, usize) {
        let meant = self.slots.iter().filter(|(_, slot)| is_meant(&slot.value)).map(|(key, _)| *key);
        let meant: Vec<u128> = meant.collect();
        let taken = meant.iter().filter_map(|key| self.take(*key));
        let (values, weights): (Vec<_>, Vec<_>) = taken.unzip();
        (values, weights.into_iter().sum())
    }

    /// Places of values that are gone are left where they are until they outnumber the others.
    fn tidy(&mut self) {
        const FEW: usize = 64;
        if self.small.len() + self.main.len() > 2 * self.slots.len() + FEW {
            let slots = &self.slots;
            let is_taken = |place: &Place| slots.get(&place.key).is_some_and(|slot| slot.turn == place.turn);
            self.small.retain(is_taken);
            self.main.retain(is_taken);
        }
    }

    /// Gives one value up, and says which and what it weighed; `None` when there is none.
    pub(super) fn evict(&mut self) -> Option<(u128, usize)> {
        loop {
            let is_small_full = self.small_bytes * 10 > self.small_bytes + self.main_bytes;
            let turn =
                if is_small_full || self.main.is_empty() { self.evict_small() } else { self.evict_main() };
            match turn? {
                Turn::Gone(key, freed) => return Some((key, freed)),
                Turn::Stays if self.slots.is_empty() => return None,
                Turn::Stays => {}
            }
        }
    }

    /// The oldest of the small queue goes, or moves to the main one; `None` when there is none.
    fn evict_small(&mut self) -> Option<Turn> {
        let place = self.small.pop_front()?;
        let Some(slot) = self.slots.get_mut(&place.key).filter(|slot| slot.turn == place.turn) else {
            return Some(Turn::Stays);
        };
        if slot.hits.load(Ordering::Relaxed) > WORTH_KEEPING {
            slot.hits.store(0, Ordering::Relaxed);
            let weight = slot.weight;
            self.small_bytes -= weight;
            self.move_to_main(place.key, weight);
            return Some(Turn::Stays);
        }
        let most = self.slots.len();
        self.ghosts.remember(place.key, most);
        Some(self.give_up(place.key))
    }

    /// The oldest of the main queue goes, or gets another round for each time that it was asked for.
    fn evict_main(&mut self) -> Option<Turn> {
        let place = self.main.pop_front()?;
        let Some(slot) = self.slots.get_mut(&place.key).filter(|slot| slot.turn == place.turn) else {
            return Some(Turn::Stays);
        };
        let hits = slot.hits.load(Ordering::Relaxed);
        if hits == 0 {
            return Some(self.give_up(place.key));
        }
        slot.hits.store(hits - 1, Ordering::Relaxed);
        let weight = slot.weight;
        self.main_bytes -= weight;
        self.move_to_main(place.key, weight);
        Some(Turn::Stays)
    }

    fn give_up(&mut self, key: u128) -> Turn {
        self.remove(key).map_or(Turn::Stays, |weight| Turn::Gone(key, weight))
    }

    fn move_to_main(&mut self, key: u128, weight: usize) {
        let turn = self.enqueue(key, Queue::Main, weight);
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.queue = Queue::Main;
            slot.turn = turn;
        }
    }
}

fn of_queue<'a, T>(queue: Queue, small: &'a mut T, main: &'a mut T) -> &'a mut T {
    match queue {
        Queue::Small => small,
        Queue::Main => main,
    }
}
