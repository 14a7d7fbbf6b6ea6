use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pingora_cache::CacheKey;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::store::place;
use super::{Cache, disk};
use crate::types::{Random, Rarely, jittered};

/// Which stored answers are being refreshed, and which rest after a failure.
#[derive(Debug, Default)]
pub(super) struct Refreshes {
    known: Mutex<Known>,
    refreshed: AtomicU64,
    failed: AtomicU64,
    told: Rarely,
}

#[derive(Debug, Default)]
struct Known {
    /// By the place of the answer.
    answers: HashMap<u128, State>,
    under_way: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    UnderWay {
        /// So many failed one after the other before this one.
        failures: u32,
    },
    Resting {
        failures: u32,
        until: Instant,
    },
}

/// The leave to refresh an answer. Dropped without word of what came of it, another may follow at once.
#[derive(Debug)]
pub(crate) struct Turn {
    cache: Arc<Cache>,
    place: u128,
    next: Option<State>,
    _in_all: SemaphorePermit<'static>,
}

/// So many are under way at once, over all caches.
const MOST_IN_ALL: usize = 256;
static IN_ALL: Semaphore = Semaphore::const_new(MOST_IN_ALL);
/// So many answers are known to rest; beyond, some are forgotten.
const MOST_KNOWN: usize = 4096;
/// How long an answer rests after a failure, which doubles with each one that follows.
const SHORTEST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

impl Cache {
    /// The leave to refresh an answer now; `None` while somebody does, for a while after a failure, and while as many are
    /// under way as may be.
    pub(crate) fn begin_refresh(self: &Arc<Self>, key: &CacheKey, now: Instant) -> Option<Turn> {
        let in_all = IN_ALL.try_acquire().ok()?;
        let place = place(key);
        let is_begun = self.store.refreshes.known.lock().begin(place, self.most_refreshes, now);
        is_begun.then(|| Turn { cache: self.clone(), place, next: None, _in_all: in_all })
    }

    /// Gives up what is kept at the place of a key: it is known to be out of date. Files go with all others of their target.
    pub(crate) fn forget(&self, key: &CacheKey) {
        self.store.memory.remove(place(key));
        if let Some(disk) = &self.disk {
            disk.remove(disk::target(key.primary_key()));
        }
    }
}

impl Turn {
    /// The answer is as its endpoint has it.
    pub(crate) fn done(self) {
        self.refreshes().refreshed.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing came of it: the answer rests for a while, and for as long as the endpoint asks for.
    pub(crate) fn fail(
        mut self,
        reason: &str,
        retry_after: Option<Duration>,
        now: Instant,
        random: &mut Random,
    ) {
        let failures = self.refreshes().known.lock().failures(self.place).saturating_add(1);
        let rest = SHORTEST_REST.saturating_mul(1 << (failures - 1).min(6)).min(LONGEST_REST);
        let rest = jittered(rest, random).max(retry_after.unwrap_or_default().min(LONGEST_REST));
        self.next = Some(State::Resting { failures, until: now + rest });
        self.tell(reason, now);
    }

    fn tell(&self, reason: &str, now: Instant) {
        let Refreshes { refreshed, failed, told, .. } = self.refreshes();
        let failed = failed.fetch_add(1, Ordering::Relaxed) + 1;
        if told.may_tell(now) {
            let (cache, refreshed) = (&self.cache.name, refreshed.load(Ordering::Relaxed));
            log::warn!(
                "old answers cannot be refreshed cache={cache} refreshed={refreshed} failed={failed} last={reason:?}"
            );
        }
    }

    fn refreshes(&self) -> &Refreshes {
        &self.cache.store.refreshes
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.refreshes().known.lock().end(self.place, self.next);
    }
}

impl Known {
    fn begin(&mut self, place: u128, most: usize, now: Instant) -> bool {
        if self.under_way >= most {
            return false;
        }
        let failures = match self.answers.get(&place) {
            Some(State::UnderWay { .. }) => return false,
            Some(State::Resting { until, .. }) if now < *until => return false,
            Some(State::Resting { failures, .. }) => *failures,
            None => 0,
        };
        if failures == 0 && self.answers.len() >= MOST_KNOWN {
            self.make_room(now);
        }
        self.answers.insert(place, State::UnderWay { failures });
        self.under_way += 1;
        true
    }

    fn failures(&self, place: u128) -> u32 {
        match self.answers.get(&place) {
            Some(State::UnderWay { failures } | State::Resting { failures, .. }) => *failures,
            None => 0,
        }
    }

    fn end(&mut self, place: u128, next: Option<State>) {
        self.under_way -= 1;
        match next {
            Some(state) => self.answers.insert(place, state),
            None => self.answers.remove(&place),
        };
    }

    /// Forgets those that have rested, or any that does where all still do.
    fn make_room(&mut self, now: Instant) {
        let rests = |state: &State| matches!(state, State::Resting { until, .. } if now < *until);
        self.answers.retain(|_, state| matches!(state, State::UnderWay { .. }) || rests(state));
        if self.answers.len() >= MOST_KNOWN {
            let any = self.answers.iter().find(|(_, state)| rests(state)).map(|(place, _)| *place);
            any.map(|place| self.answers.remove(&place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Store;

    fn cache(most: usize) -> Arc<Cache> {
        let (name, store) = ("main".parse().unwrap(), Arc::new(Store::new(1 << 20)));
        Arc::new(Cache::new(name, store, 1 << 20, None, 1000, Duration::ZERO).with_refreshes(most))
    }

    fn fail(turn: Turn, retry_after: Option<Duration>, now: Instant) {
        turn.fail("gone", retry_after, now, &mut Random::with_seed(1));
    }

    #[test]
    fn one_at_a_time_for_each_answer_and_so_many_for_all() {
        let cache = cache(2);
        let now = Instant::now();
        let [one, two, three] = ["1", "2", "3"].map(|key| cache.key(key.into()));
        let first = cache.begin_refresh(&one, now).unwrap();
        assert!(cache.begin_refresh(&one, now).is_none());
        let second = cache.begin_refresh(&two, now).unwrap();
        assert!(cache.begin_refresh(&three, now).is_none());
        drop(second);
        drop(cache.begin_refresh(&three, now).unwrap());
        drop(first);
        assert!(cache.begin_refresh(&one, now).is_some());
        assert!(cache.store.refreshes.known.lock().answers.is_empty());
    }

    #[test]
    fn after_failures_an_answer_rests_longer_and_longer() {
        let cache = cache(1);
        let key = cache.key(b"key".into());
        let mut now = Instant::now();
        for (failure, rest) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            fail(cache.begin_refresh(&key, now).unwrap(), None, now);
            let rest = Duration::from_secs(rest);
            assert!(cache.begin_refresh(&key, now + rest * 8 / 10).is_none(), "{failure}");
            now += rest * 12 / 10;
        }
        drop(cache.begin_refresh(&key, now).unwrap());
        fail(cache.begin_refresh(&key, now).unwrap(), Some(Duration::from_secs(10)), now);
        assert!(cache.begin_refresh(&key, now + Duration::from_secs(9)).is_none());
        fail(cache.begin_refresh(&key, now + Duration::from_secs(11)).unwrap(), Some(Duration::MAX), now);
        assert!(cache.begin_refresh(&key, now + LONGEST_REST * 2).is_some());
    }

    #[test]
    fn what_is_known_of_failures_is_bounded() {
        let cache = cache(1);
        let now = Instant::now();
        for number in 0..MOST_KNOWN + 100 {
            let key = cache.key(number.to_string().into());
            fail(cache.begin_refresh(&key, now).unwrap(), None, now);
        }
        let known = || cache.store.refreshes.known.lock().answers.len();
        assert_eq!(known(), MOST_KNOWN);
        let later = now + LONGEST_REST;
        fail(cache.begin_refresh(&cache.key(b"other".into()), later).unwrap(), None, later);
        assert_eq!(known(), 1);
    }
}
