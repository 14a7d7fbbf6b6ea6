//! A bounded map from keys to their TAT that forgets by itself what no longer matters.

use std::hash::{BuildHasher, RandomState};

use super::gcra::Tat;

/// Open addressing with linear probing over slots of 32 bytes, at most three quarters of them in use.
///
/// A key whose TAT has passed is indistinguishable from one that was never seen, so every insertion looks at a
/// few slots and clears those. When `limit` keys are in use nevertheless, an insertion evicts the one of a
/// sample that is closest to being forgotten.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    used: usize,
    limit: usize,
    /// Where the next look at a few slots begins.
    cursor: usize,
    spread: Spread,
}

/// A TAT is never 0 once it is stored, so 0 marks an empty slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u128,
    tat: Tat,
}

const EMPTY: Slot = Slot { key: 0, tat: 0 };
const SMALLEST: usize = 8;
/// Three passes over a table while it fills once.
const SWEPT_PER_INSERTION: usize = 4;
const EVICTION_SAMPLE: usize = 16;

/// Turns keys into evenly spread numbers that cannot be foretold without the seed (folded multiplication).
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread(pub(super) u64, pub(super) u64);

/// Where a key is, or where it belongs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Taken(usize),
    Free(usize),
}

impl Spread {
    pub(super) fn random() -> Self {
        let state = RandomState::new();
        Self(state.hash_one(1), state.hash_one(2))
    }

    pub(super) fn of(self, key: u128) -> u64 {
        let (high, low) = ((key >> 64) as u64, key as u64);
        let product = u128::from(high ^ self.0) * u128::from(low ^ self.1);
        (product >> 64) as u64 ^ product as u64
    }
}

impl Table {
    /// A small table that may grow until it holds `limit` keys.
    pub(super) fn new(limit: usize, spread: Spread) -> Self {
        Self { slots: vec![EMPTY; SMALLEST], used: 0, limit: limit.max(1), cursor: 0, spread }
    }

    /// The key's TAT, 0 when it owes nothing that is known of, and its place for [`Self::store`].
    pub(super) fn find(&self, key: u128) -> (Tat, Place) {
        let mut at = self.home(key);
        loop {
            let slot = &self.slots[at];
            if slot.tat == 0 {
                return (0, Place::Free(at));
            }
            if slot.key == key {
                return (slot.tat, Place::Taken(at));
            }
            at = self.after(at);
        }
    }

    /// Keeps `tat`, 1 or more, for `key` at the place where it was just found.
    pub(super) fn store(&mut self, place: Place, key: u128, tat: Tat, now: u128) {
        match place {
            Place::Taken(at) => self.slots[at].tat = tat,
            Place::Free(at) => {
                let at = if self.make_room(now) { self.find(key).1.index() } else { at };
                self.slots[at] = Slot { key, tat };
                self.used += 1;
            }
        }
    }

    /// The keys that still owe something, with their TATs.
    pub(super) fn owing(&self, now: u128) -> impl Iterator<Item = (u128, Tat)> {
        let owing = self.slots.iter().filter(move |slot| slot.tat > now);
        owing.map(|slot| (slot.key, slot.tat))
    }

    /// How many keys are held.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// The bytes of the slots.
    pub(super) fn allocated(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    /// Makes sure that one more key has room. Returns whether places may have changed.
    fn make_room(&mut self, now: u128) -> bool {
        let mut moved = self.sweep(SWEPT_PER_INSERTION, now);
        if self.used >= self.limit {
            moved |= self.sweep(EVICTION_SAMPLE, now);
        }
        if self.used >= self.limit {
            self.evict();
            moved = true;
        }
        if self.used >= self.slots.len() / 4 * 3 {
            self.rebuild(now);
            moved = true;
        }
        moved
    }

    /// Clears what is forgotten among the next `count` slots. Returns whether anything moved.
    fn sweep(&mut self, count: usize, now: u128) -> bool {
        let before = self.used;
        for _ in 0..count {
            let slot = self.slots[self.cursor];
            if slot.tat != 0 && slot.tat <= now {
                // The cursor stays, since another key may have moved here.
                self.clear(self.cursor);
            } else {
                self.cursor = self.after(self.cursor);
            }
        }
        self.used != before
    }

    /// Clears the key with the smallest debt among the next ones.
    fn evict(&mut self) {
        let mut smallest: Option<usize> = None;
        let mut seen = 0;
        // Ends, because the table has at least one key (limit >= 1).
        while seen < EVICTION_SAMPLE.min(self.used) {
            let tat = self.slots[self.cursor].tat;
            if tat != 0 {
                seen += 1;
                if smallest.is_none_or(|at| tat < self.slots[at].tat) {
                    smallest = Some(self.cursor);
                }
            }
            self.cursor = self.after(self.cursor);
        }
        if let Some(at) = smallest {
            self.clear(at);
        }
    }

    /// Empties a slot and moves back those that probing would no longer find behind the gap.
    fn clear(&mut self, at: usize) {
        let mut gap = at;
        let mut next = self.after(at);
        while self.slots[next].tat != 0 {
            let home = self.home(self.slots[next].key);
            if self.distance(home, next) >= self.distance(gap, next) {
                self.slots[gap] = self.slots[next];
                gap = next;
            }
            next = self.after(next);
        }
        self.slots[gap] = EMPTY;
        self.used -= 1;
    }

    /// Moves what still matters into new slots; twice as many when that is more than half of what fits.
    fn rebuild(&mut self, now: u128) {
        let live = self.slots.iter().filter(|slot| slot.tat > now).count();
        let largest = self.limit.div_ceil(3) * 4 + 4;
        let len = self.slots.len();
        let len = if live > len / 8 * 3 { (len * 2).min(largest).max(SMALLEST) } else { len };
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; len]);
        self.used = live;
        self.cursor = 0;
        for slot in old.into_iter().filter(|slot| slot.tat > now) {
            let at = self.find(slot.key).1.index();
            self.slots[at] = slot;
        }
    }

    /// Where probing for the key begins.
    fn home(&self, key: u128) -> usize {
        // A number below 2^64 times the length, shifted by 64 bits, is below the length.
        ((u128::from(self.spread.of(key)) * self.slots.len() as u128) >> 64) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }
}

impl Place {
    fn index(self) -> usize {
        match self {
            Self::Taken(at) | Self::Free(at) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Any numbers will do whose bits are mixed, as those of a random seed are.
    const SEED: Spread = Spread(0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03);

    fn store(table: &mut Table, key: u128, tat: Tat, now: u128) {
        let (_, place) = table.find(key);
        table.store(place, key, tat, now);
    }

    proptest! {
        #[test]
        fn knows_every_key_that_still_owes(
            seed in any::<(u64, u64)>(),
            steps in prop::collection::vec((0_u128..200, 1_u128..300, 0_u128..4), 1..600),
        ) {
            let mut table = Table::new(200, Spread(seed.0, seed.1));
            let mut model: HashMap<u128, Tat> = HashMap::new();
            let mut now = 0;
            for (key, debt, pause) in steps {
                now += pause;
                store(&mut table, key, now + debt, now);
                model.insert(key, now + debt);
                prop_assert!(table.used() <= 200 && table.used() < table.slots.len());
                for (key, tat) in &model {
                    let found = table.find(*key).0;
                    prop_assert!(found == *tat || (found == 0 && *tat <= now), "{key}: {found} for {tat}");
                }
            }
            let in_use = table.slots.iter().filter(|slot| slot.tat != 0).count();
            prop_assert_eq!(in_use, table.used());
        }
    }

    #[test]
    fn does_not_grow_while_keys_are_forgotten_as_fast_as_they_come() {
        let mut table = Table::new(1_000_000, SEED);
        for key in 0..200_000_u128 {
            store(&mut table, key, key + 100, key);
        }
        assert!(table.slots.len() <= 512, "{} slots for 100 live keys", table.slots.len());
    }

    #[test]
    fn never_holds_more_than_its_limit_and_evicts_the_smallest_debts() {
        let mut table = Table::new(1_000, SEED);
        let in_debt: Vec<u128> = (0..500).collect();
        for key in &in_debt {
            store(&mut table, *key, 1_000_000, 0);
        }
        for key in 1_000..100_000 {
            store(&mut table, key, 10, 0);
            assert!(table.used() <= 1_000);
        }
        let remembered = in_debt.iter().filter(|key| table.find(**key).0 != 0).count();
        assert!(remembered >= 495, "{remembered} of 500 debtors are still known");
        assert!(table.allocated() <= 1_344 * 32, "{} bytes", table.allocated());
    }

    #[test]
    fn keys_that_differ_in_few_bits_spread_evenly() {
        for shift in [0, 16, 32, 64, 100] {
            let mut counts = [0_u32; 64];
            for key in 0..64_000_u128 {
                counts[(SEED.of(key << shift) & 63) as usize] += 1;
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least > 800 && *most < 1_200, "shift {shift}: {least} to {most}");
        }
    }
}
