use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::hooks::KeySeed;

/// How many requests of each key are under way. Only keys with such requests take memory, so that there are never more
/// than requests.
#[derive(Debug)]
pub(super) struct Slots {
    shards: Box<[CachePadded<Mutex<Keys>>]>,
    seed: KeySeed,
}

type Keys = HashMap<u128, Key, KeySeed>;

/// A request that is under way, until this is dropped; the place goes to the next in line then.
#[derive(Debug)]
pub(super) struct Slot {
    /// `None` when another one holds the place.
    slots: Option<Arc<Slots>>,
    key: u128,
}

#[derive(Debug, Default)]
struct Key {
    busy: u32,
    line: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// What the request goes by, since another configuration may have another one.
    max: u32,
    turn: oneshot::Sender<Slot>,
}

/// How many requests may be under way and wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) max: u32,
    pub(super) queue: usize,
    pub(super) patience: Duration,
}

/// What requests of a key hold at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many are under way.
    pub(super) busy: u32,
    /// How many wait.
    pub(super) waiting: usize,
}

/// A power of two.
const SHARDS: usize = 64;

impl Slots {
    pub(super) fn new() -> Self {
        let seed = KeySeed::random();
        let shard = || CachePadded::new(Mutex::new(HashMap::with_hasher(seed.clone())));
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect(), seed }
    }

    /// The hasher for keys that clients may choose.
    pub(super) fn hasher(&self) -> &KeySeed {
        &self.seed
    }

    /// A place for a request of the key, perhaps after a wait; `None` when there is none to be had.
    pub(super) async fn take(self: &Arc<Self>, key: u128, room: Room) -> Option<Slot> {
        let turn = {
            let mut shard = self.shard(key).lock();
            let state = shard.entry(key).or_default();
            if state.busy < room.max {
                state.busy += 1;
                return Some(self.slot(key));
            }
            if state.line.len() >= room.queue {
                // Those who have given up stand there no longer.
                state.line.retain(|waiting| !waiting.turn.is_closed());
            }
            if state.line.len() >= room.queue {
                return None;
            }
            let (turn, mine) = oneshot::channel();
            state.line.push_back(Waiting { max: room.max, turn });
            mine
        };
        timeout(room.patience, turn).await.ok()?.ok()
    }

    /// What requests of the key hold at this moment.
    pub(super) fn taken(&self, key: u128) -> Taken {
        let waits = |waiting: &&Waiting| !waiting.turn.is_closed();
        self.shard(key).lock().get(&key).map_or_else(Taken::default, |state| Taken {
            busy: state.busy,
            waiting: state.line.iter().filter(waits).count(),
        })
    }

    fn slot(self: &Arc<Self>, key: u128) -> Slot {
        Slot { slots: Some(self.clone()), key }
    }

    fn shard(&self, key: u128) -> &Mutex<Keys> {
        &self.shards[key as usize & (SHARDS - 1)]
    }

    /// Whose turn it is now that a request of the key has ended; without one, the place is free.
    fn next(&self, key: u128) -> Option<oneshot::Sender<Slot>> {
        let mut shard = self.shard(key).lock();
        let state = shard.get_mut(&key)?;
        let has_room = |waiting: &Waiting| state.busy <= waiting.max;
        if state.line.front().is_some_and(has_room) {
            return state.line.pop_front().map(|waiting| waiting.turn);
        }
        state.busy -= 1;
        if state.busy == 0 {
            shard.remove(&key);
        }
        None
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(slots) = self.slots.take() else { return };
        while let Some(turn) = slots.next(self.key) {
            match turn.send(slots.slot(self.key)) {
                Ok(()) => return,
                // It has given up, and the place is still this one's.
                Err(mut unwanted) => unwanted.slots = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(max: u32, queue: usize) -> Room {
        Room { max, queue, patience: Duration::from_secs(1) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_has_so_many_places_and_no_other_keys() {
        let slots = Arc::new(Slots::new());
        let first = slots.take(7, room(2, 0)).await.unwrap();
        let second = slots.take(7, room(2, 0)).await.unwrap();
        assert!(slots.take(7, room(2, 0)).await.is_none());
        assert!(slots.take(8, room(2, 0)).await.is_some());
        drop(first);
        assert!(slots.take(7, room(2, 0)).await.is_some());
        drop(second);
        assert_eq!(slots.keys(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_comes_in_order() {
        let slots = Arc::new(Slots::new());
        let first = slots.take(7, room(1, 2)).await.unwrap();
        let order = Mutex::new(Vec::new());
        let wait = async |name: &str| {
            let slot = slots.take(7, room(1, 2)).await;
            order.lock().push((name.to_owned(), slot.is_some()));
        };
        tokio::join!(wait("a"), wait("b"), wait("c"), async { drop(first) });
        let order: Vec<_> = order.into_inner();
        let expected = [("c", false), ("a", true), ("b", true)].map(|(name, came)| (name.to_owned(), came));
        assert_eq!(order, expected);
        assert_eq!(slots.keys(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_holds_no_place_and_none_in_the_line() {
        let slots = Arc::new(Slots::new());
        let first = slots.take(7, room(1, 1)).await.unwrap();
        assert!(slots.take(7, room(1, 1)).await.is_none(), "after a second");
        let last = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take(7, room(1, 1)).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(last.await.unwrap().is_some());
        assert_eq!(slots.keys(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_comes_as_its_request_goes_is_not_lost() {
        let slots = Arc::new(Slots::new());
        let first = slots.take(7, room(1, 1)).await.unwrap();
        let mut waiting = Box::pin(slots.take(7, room(1, 1)));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(first);
        drop(waiting);
        assert_eq!(slots.keys(), 0);
        assert!(slots.take(7, room(1, 0)).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lower_maximum_is_reached_as_requests_end() {
        let slots = Arc::new(Slots::new());
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(slots.take(7, room(3, 0)).await.unwrap());
        }
        let mut waiting = Box::pin(slots.take(7, room(1, 1)));
        assert!(futures::poll!(&mut waiting).is_pending());
        held.pop();
        held.pop();
        assert!(futures::poll!(&mut waiting).is_pending(), "one is still under way");
        held.pop();
        assert!(waiting.await.is_some());
    }
}
