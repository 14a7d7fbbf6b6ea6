use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::select;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::hooks::{FetchLimits, Job, JobCx};
use crate::types::{jittered, with_random};

use super::last_set::{FetchedSet, LastSet};
use super::place::Place;
use super::refusal::Refusal;
use super::source::Unverified;
use super::token::Token;
use super::{JwksSettings, JwtAlgorithm};

/// A key set of a server, which a job keeps fresh: fetched every `refresh`, and when a token names a key that is not there,
/// though not sooner than `min_refresh` after the last time. While the server is gone, or has no key for the algorithms, the
/// last set counts, until it is too old.
pub(super) struct FreshKeys {
    place: Place,
    settings: JwksSettings,
    algorithms: Vec<JwtAlgorithm>,
    set: ArcSwapOption<FetchedSet>,
    /// What the next one begins with, here or in another process.
    last: Arc<LastSet>,
    rounds: watch::Sender<Round>,
    /// That somebody has shown a token with a key that is not there.
    wanted: Notify,
}

/// How far the job is.
#[derive(Clone, Copy)]
struct Round {
    /// How many fetches are over, however they ended.
    over: u64,
    is_under_way: bool,
    /// When the next may begin because it is wanted.
    next: Instant,
}

/// How soon a server is asked again that did not answer; twice as late each time, up to `min_refresh`.
const AGAIN: Duration = Duration::from_secs(1);

impl FreshKeys {
    pub(super) fn new(
        place: Place,
        settings: JwksSettings,
        algorithms: Vec<JwtAlgorithm>,
        last: Arc<LastSet>,
    ) -> Self {
        // The job is about to begin.
        let first = Round { over: 0, is_under_way: true, next: Instant::now() };
        Self {
            set: ArcSwapOption::new(last.get().filter(|set| set.keys.check_for(&algorithms).is_ok())),
            place,
            settings,
            algorithms,
            last,
            rounds: watch::Sender::new(first),
            wanted: Notify::new(),
        }
    }

    /// As [`KeySet::verify`], with the keys as they are now, or as they will be in a moment.
    pub(super) async fn verify(&self, token: &Token<'_>, now: Instant) -> Result<(), Unverified> {
        if self.counting(now).is_none() {
            self.renewed(now).await;
        }
        match self.verify_now(token, now) {
            Err(Unverified::Refused(Refusal::UnknownKey)) if self.renewed(now).await => {
                self.verify_now(token, now)
            }
            result => result,
        }
    }

    /// The last set, unless it is too old.
    fn counting(&self, now: Instant) -> Option<Arc<FetchedSet>> {
        let is_young =
            |set: &Arc<FetchedSet>| now.saturating_duration_since(set.fetched) <= self.settings.longest_age();
        self.set.load_full().filter(is_young)
    }

    fn verify_now(&self, token: &Token<'_>, now: Instant) -> Result<(), Unverified> {
        let set = self.counting(now).ok_or(Unverified::NoKeys)?;
        set.keys.verify(token).map_err(Unverified::Refused)
    }

    /// Waits for a fetch that is under way, or that may begin now. Whether there was one.
    async fn renewed(&self, now: Instant) -> bool {
        let mut rounds = self.rounds.subscribe();
        let seen = *rounds.borrow_and_update();
        if !seen.is_under_way {
            if now < seen.next {
                return false;
            }
            self.wanted.notify_one();
        }
        let over = rounds.wait_for(|round| round.over > seen.over);
        matches!(timeout(self.settings.timeout.get(), over).await, Ok(Ok(_)))
    }

    /// One fetch, and the pause after it; how many have failed in a row.
    async fn round(&self, fetch: impl Future<Output = Result<Bytes, String>>, failed: u32) -> u32 {
        self.rounds.send_modify(|round| round.is_under_way = true);
        let failed = match fetch.await.and_then(|text| self.read(text)) {
            Ok(set) => {
                let set = Arc::new(set);
                self.last.set(set.clone());
                self.set.store(Some(set));
                0
            }
            Err(error) => {
                let failed = failed.saturating_add(1);
                self.tell(failed, &error);
                failed
            }
        };
        let (next, again) = self.pauses(failed);
        self.rounds.send_modify(|round| {
            *round = Round { over: round.over + 1, is_under_way: false, next };
        });
        let wanted = async {
            sleep_until(next).await;
            self.wanted.notified().await;
        };
        select! {
            () = sleep(again) => {}
            () = wanted => {}
        }
        failed
    }

    /// A set that can take the place of the last one.
    fn read(&self, text: Bytes) -> Result<FetchedSet, String> {
        let set = FetchedSet::parse(text, Instant::now())?;
        set.keys.check_for(&self.algorithms)?;
        Ok(set)
    }

    /// When the next fetch may begin because it is wanted, and after which time it begins by itself.
    fn pauses(&self, failed: u32) -> (Instant, Duration) {
        let least = self.settings.min_refresh.get();
        let again = match failed {
            0 => self.settings.refresh.get(),
            _ => AGAIN.saturating_mul(1 << failed.min(12)).min(least),
        };
        let again = with_random(|random| jittered(again, random));
        (Instant::now() + least.min(again), again)
    }

    /// Once when a server begins to fail, and then ever more seldom.
    fn tell(&self, failed: u32, error: &str) {
        if !failed.is_power_of_two() {
            return;
        }
        let place = &self.place;
        if self.counting(Instant::now()).is_some() {
            log::warn!(
                "keys of tokens could not be fetched, the last ones count from={place} times={failed} \
                 error={error:?}"
            );
        } else {
            let known = if self.set.load().is_some() { "too_old" } else { "none" };
            log::error!(
                "keys of tokens could not be fetched, tokens are refused from={place} known={known} \
                 times={failed} error={error:?}"
            );
        }
    }

    async fn fetch(&self, cx: &JobCx) -> Result<Bytes, String> {
        let limits = FetchLimits { total: self.settings.timeout.get(), ..FetchLimits::default() };
        self.place.fetch(limits, cx).await
    }
}

#[async_trait]
impl Job for FreshKeys {
    async fn run(&self, cx: &JobCx) {
        let mut failed = 0;
        loop {
            failed = self.round(self.fetch(cx), failed).await;
        }
    }
}

impl fmt::Display for FreshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl fmt::Debug for FreshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshKeys").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
