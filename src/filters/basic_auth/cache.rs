use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use foldhash::fast::RandomState;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hooks::Overloaded;

/// What came of checks, and the checks that go on.
///
/// Passwords that were wrong have a table of their own, so that guesses drive out no password that was right.
pub(super) struct Cache {
    key: hmac::Key,
    right: Verdicts,
    wrong: Verdicts,
    going_on: Mutex<HashMap<Tag, WeakShared<Check>, RandomState>>,
}

/// What stands for a user, a hash and a password: only with the cache's key it can be made or told.
pub(super) type Tag = [u8; 32];
type Check = BoxFuture<'static, Result<bool, Overloaded>>;

/// Until when each of them counts.
struct Verdicts {
    shards: [Mutex<HashMap<Tag, Instant, RandomState>>; SHARDS],
    ttl: Duration,
    most_per_shard: usize,
}

const SHARDS: usize = 16;
const WRONG_TTL: Duration = Duration::from_secs(10);
const MOST_WRONG: usize = 4096;
/// So many of a full table are looked at for one to give up: not all, since a worker does so for each guess.
const LOOKED_AT: usize = 8;
/// Beyond, checks that nobody waits for any more are looked for.
const MOST_GOING_ON: usize = 1024;

impl Cache {
    /// An empty one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn new(ttl: Duration, size: usize) -> Result<Self, aws_lc_rs::error::Unspecified> {
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            right: Verdicts::new(ttl, size),
            wrong: Verdicts::new(WRONG_TTL, MOST_WRONG),
            going_on: Mutex::default(),
        })
    }

    /// The tag of these texts, in this order.
    pub(super) fn tag(&self, texts: [&[u8]; 4]) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for text in texts {
            // With their lengths, so that no two lists are the same bytes.
            context.update(&text.len().to_le_bytes());
            context.update(text);
        }
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// What came of the check with this tag, from memory, from one that goes on, or from `check`.
    ///
    /// # Errors
    /// When too many checks go on.
    pub(super) async fn verdict(
        &self,
        tag: Tag,
        now: Instant,
        check: impl Future<Output = Result<bool, Overloaded>> + Send + 'static,
    ) -> Result<bool, Overloaded> {
        if self.right.has(&tag, now) {
            return Ok(true);
        }
        if self.wrong.has(&tag, now) {
            return Ok(false);
        }
        let check = self.join(tag, check);
        let is_right = check.await;
        if let Ok(is_right) = is_right {
            let verdicts = if is_right { &self.right } else { &self.wrong };
            verdicts.put(tag, now);
        }
        self.going_on.lock().remove(&tag);
        is_right
    }

    /// The check of this tag that goes on, or this one, which others can join from now on.
    fn join(
        &self,
        tag: Tag,
        check: impl Future<Output = Result<bool, Overloaded>> + Send + 'static,
    ) -> Shared<Check> {
        let mut going_on = self.going_on.lock();
        if let Some(joined) = going_on.get(&tag).and_then(WeakShared::upgrade) {
            return joined;
        }
        if going_on.len() >= MOST_GOING_ON {
            going_on.retain(|_, check| check.upgrade().is_some());
        }
        let check = check.boxed().shared();
        going_on.extend(check.downgrade().map(|check| (tag, check)));
        check
    }
}

impl Verdicts {
    fn new(ttl: Duration, size: usize) -> Self {
        Self { shards: Default::default(), ttl, most_per_shard: size.div_ceil(SHARDS) }
    }

    fn has(&self, tag: &Tag, now: Instant) -> bool {
        self.shard(tag).lock().get(tag).is_some_and(|&until| now < until)
    }

    fn put(&self, tag: Tag, now: Instant) {
        if self.ttl.is_zero() {
            return;
        }
        let mut shard = self.shard(&tag).lock();
        if shard.len() >= self.most_per_shard && !shard.contains_key(&tag) {
            // Any other will do, since it is checked again when it comes; but of a few rather one that no longer counts.
            let few = || shard.iter().take(LOOKED_AT);
            let over = few().find(|(_, until)| now >= **until).or_else(|| few().next());
            if let Some(other) = over.map(|(&other, _)| other) {
                shard.remove(&other);
            }
        }
        shard.insert(tag, now + self.ttl);
    }

    fn shard(&self, tag: &Tag) -> &Mutex<HashMap<Tag, Instant, RandomState>> {
        &self.shards[usize::from(tag[0]) % SHARDS]
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    fn cache(ttl: u64, size: usize) -> Cache {
        Cache::new(Duration::from_secs(ttl), size).unwrap()
    }

    /// What the cache says, and whether it had to be checked.
    async fn ask(cache: &Cache, password: &str, now: Instant) -> (bool, bool) {
        let checked = Arc::new(AtomicUsize::new(0));
        let (counted, is_right) = (checked.clone(), password.starts_with("right"));
        let check = async move {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(is_right)
        };
        let tag = cache.tag([b"ada", b"hash", b"1", password.as_bytes()]);
        let verdict = cache.verdict(tag, now, check).await.unwrap();
        (verdict, checked.load(Ordering::Relaxed) == 1)
    }

    #[tokio::test]
    async fn remembers_right_and_wrong_for_a_while() {
        let (cache, start) = (cache(60, 100), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (password, seconds, expected) in [
            ("right", 0, (true, true)),
            ("right", 59, (true, false)),
            ("right", 60, (true, true)),
            ("wrong", 0, (false, true)),
            ("wrong", 9, (false, false)),
            ("wrong", 10, (false, true)),
        ] {
            assert_eq!(ask(&cache, password, after(seconds)).await, expected, "{password} {seconds}");
        }
    }

    #[tokio::test]
    async fn guesses_do_not_drive_out_what_was_right() {
        let (cache, now) = (cache(60, 16), Instant::now());
        assert_eq!(ask(&cache, "right", now).await, (true, true));
        for guess in 0..20_000 {
            assert_eq!(ask(&cache, &format!("wrong {guess}"), now).await, (false, true));
        }
        assert_eq!(ask(&cache, "right", now).await, (true, false));
        let kept: usize = cache.wrong.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(kept <= MOST_WRONG, "{kept}");
        assert!(cache.going_on.lock().is_empty());
    }

    #[tokio::test]
    async fn no_more_is_remembered_than_there_is_room_for() {
        let (cache, now) = (cache(60, 160), Instant::now());
        for password in 0..1000 {
            assert_eq!(ask(&cache, &format!("right {password}"), now).await, (true, true));
        }
        let kept: usize = cache.right.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!((100..=160).contains(&kept), "{kept}");
    }

    #[tokio::test]
    async fn nothing_is_remembered_without_a_time() {
        let (cache, now) = (cache(0, 16), Instant::now());
        for _ in 0..2 {
            assert_eq!(ask(&cache, "right", now).await, (true, true));
        }
    }

    #[tokio::test]
    async fn the_same_check_is_done_once_for_all_who_ask() {
        let (cache, now) = (cache(60, 16), Instant::now());
        let (begun, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let ask = || {
            let (begun, gate) = (begun.clone(), gate.clone());
            cache.verdict(cache.tag([b"a", b"b", b"c", b"d"]), now, async move {
                begun.fetch_add(1, Ordering::Relaxed);
                gate.acquire().await.unwrap().forget();
                Ok(true)
            })
        };
        let mut first = Box::pin(ask());
        assert!((&mut first).now_or_never().is_none());
        let mut others = Box::pin(futures::future::join_all((0..10).map(|_| ask())));
        assert!((&mut others).now_or_never().is_none());
        // Who began it may leave; the others go on with it.
        drop(first);
        gate.add_permits(1);
        assert!(others.await.into_iter().all(|verdict| verdict == Ok(true)));
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn checks_that_nobody_waits_for_take_no_room() {
        let (cache, now) = (cache(60, 16), Instant::now());
        for number in 0..5000_u32 {
            let tag = cache.tag([b"", b"", b"", &number.to_le_bytes()]);
            assert!(cache.verdict(tag, now, std::future::pending()).now_or_never().is_none());
        }
        assert!(cache.going_on.lock().len() <= MOST_GOING_ON);
    }

    #[test]
    fn tags_are_of_the_texts_as_they_are_divided() {
        let cache = cache(1, 16);
        assert_ne!(cache.tag([b"a", b"bc", b"", b""]), cache.tag([b"ab", b"c", b"", b""]));
        let other = Cache::new(Duration::ZERO, 16).unwrap();
        assert_ne!(cache.tag([b"a", b"b", b"c", b"d"]), other.tag([b"a", b"b", b"c", b"d"]));
    }
}
