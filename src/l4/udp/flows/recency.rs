use std::fmt;

/// Names an entry of [`Recency`]; one that was removed is never named again by the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::l4::udp) struct FlowId {
    index: u32,
    generation: u32,
}

/// Entries in the order of their last use. Adding, finding, using and removing one takes constant time: the order is a
/// list through the slots themselves.
#[derive(Debug)]
pub(super) struct Recency<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Slot<T> {
    /// Counts the entries that were here before.
    generation: u32,
    newer: u32,
    older: u32,
    /// `None` in a free slot.
    value: Option<T>,
}

/// The end of the list.
const END: u32 = u32::MAX;

// === FlowId ===

impl FlowId {
    /// The same as a number that the kernel keeps beside a socket.
    pub(in crate::l4::udp) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(in crate::l4::udp) fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

// === Recency ===

impl<T> Recency<T> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), newest: END, oldest: END }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds an entry, the newest.
    pub(super) fn insert(&mut self, value: T) -> FlowId {
        let index = self.free.pop().unwrap_or_else(|| self.new_slot());
        self.slots[index as usize].value = Some(value);
        self.link_newest(index);
        FlowId { index, generation: self.slots[index as usize].generation }
    }

    // Memory bounds the number of flows far below 2³².
    fn new_slot(&mut self) -> u32 {
        self.slots.push(Slot { generation: 0, newer: END, older: END, value: None });
        (self.slots.len() - 1) as u32
    }

    pub(super) fn get(&self, id: FlowId) -> Option<&T> {
        let slot = self.slots.get(id.index as usize)?;
        slot.value.as_ref().filter(|_| slot.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.value.as_mut().filter(|_| slot.generation == id.generation)
    }

    /// Makes an entry the newest.
    pub(super) fn touch(&mut self, id: FlowId) {
        if self.newest != id.index && self.get(id).is_some() {
            self.unlink(id.index);
            self.link_newest(id.index);
        }
    }

    pub(super) fn remove(&mut self, id: FlowId) -> Option<T> {
        self.get(id)?;
        self.unlink(id.index);
        self.free.push(id.index);
        let slot = &mut self.slots[id.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.value.take()
    }

    /// The entry that was not used for the longest time.
    pub(super) fn oldest(&self) -> Option<(FlowId, &T)> {
        let slot = self.slots.get(self.oldest as usize)?;
        let id = FlowId { index: self.oldest, generation: slot.generation };
        slot.value.as_ref().map(|value| (id, value))
    }

    fn link_newest(&mut self, index: u32) {
        let before = std::mem::replace(&mut self.newest, index);
        let slot = &mut self.slots[index as usize];
        (slot.newer, slot.older) = (END, before);
        match self.slots.get_mut(before as usize) {
            Some(before) => before.newer = index,
            None => self.oldest = index,
        }
    }

    fn unlink(&mut self, index: u32) {
        let Slot { newer, older, .. } = self.slots[index as usize];
        match self.slots.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// All entries from the oldest to the newest, found both ways.
    #[cfg(test)]
    pub(super) fn in_order(&self) -> Vec<(FlowId, &T)> {
        let step = |index: u32, next: fn(&Slot<T>) -> u32| {
            let slot = &self.slots[index as usize];
            let id = FlowId { index, generation: slot.generation };
            ((id, slot.value.as_ref().expect("a linked slot is in use")), next(slot))
        };
        let walk = |mut at: u32, next: fn(&Slot<T>) -> u32| {
            let mut found = Vec::new();
            while at != END {
                assert!(found.len() < self.len(), "the list is longer than the slab");
                let (entry, after) = step(at, next);
                found.push(entry);
                at = after;
            }
            found
        };
        let upwards = walk(self.oldest, |slot| slot.newer);
        let mut downwards = walk(self.newest, |slot| slot.older);
        downwards.reverse();
        let ids = |entries: &[(FlowId, &T)]| entries.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!(ids(&upwards), ids(&downwards), "the list is the same both ways");
        assert_eq!(upwards.len(), self.len(), "every used slot is in the list");
        upwards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(order: &Recency<char>) -> String {
        order.in_order().iter().map(|(_, value)| **value).collect()
    }

    #[test]
    fn use_moves_an_entry_to_the_end() {
        let mut order = Recency::new();
        let ids: Vec<_> = "abcd".chars().map(|value| order.insert(value)).collect();
        for (touched, expected) in [(0, "bcda"), (3, "bcad"), (2, "badc"), (2, "badc")] {
            order.touch(ids[touched]);
            assert_eq!(values(&order), expected);
        }
        assert_eq!(order.oldest(), Some((ids[1], &'b')));
    }

    #[test]
    fn a_removed_entry_is_not_found_by_its_name_when_its_slot_is_used_again() {
        let mut order = Recency::new();
        let [a, b] = ['a', 'b'].map(|value| order.insert(value));
        assert_eq!(order.remove(a), Some('a'));
        assert_eq!(order.remove(a), None);
        let c = order.insert('c');
        assert_eq!((order.get(a), order.get(b), order.get(c)), (None, Some(&'b'), Some(&'c')));
        order.touch(a);
        assert_eq!(values(&order), "bc");
        assert_eq!(FlowId::from_bits(c.to_bits()), c);
        assert_ne!(a.to_bits(), c.to_bits());
    }

    #[test]
    fn an_emptied_order_begins_again() {
        let mut order = Recency::new();
        let a = order.insert('a');
        order.remove(a);
        assert_eq!((order.oldest(), order.len()), (None, 0));
        order.insert('b');
        assert_eq!(values(&order), "b");
    }
}
