use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::config;
use crate::config::spec::Timeouts;
use crate::hooks::{PickCx, PickedBy};
use crate::types::{EndpointAddr, PoolName, Random, Weight, ZoneName};

use super::endpoint::{Endpoint, State};
use super::generation::{Generation, PolicyFactory};
use super::health::Streak;
use super::journal::Journal;
use super::lease::Lease;
use super::lineage::Lineage;
use super::peer::PeerTls;
use super::picker::Pick;
use super::queue::QueueError;
use super::roster::Roster;
use super::standing::{Health, Standing};
use super::sticky::Sticky;

/// A named set of endpoints with a policy that picks one of them, as one configuration has it.
///
/// When the configuration changes, a successor is made that shares all with it that is known of endpoints and requests.
/// Those that hold an older one go on with it: its timeouts and its rules for retries stay theirs, but picks and what
/// they come to are those of the newest. Indexes of endpoints are of one generation alone; whoever compares endpoints
/// asks whether they are [the same](Endpoint::is_same).
///
/// Nothing here looks at a clock or makes up randomness: both come with each call, so that the simulator runs the very
/// same code on a time of its own.
pub(crate) struct Pool {
    pub(super) generation: Arc<Generation>,
    pub(super) endpoints: Arc<[Arc<Endpoint>]>,
    pub(super) lineage: Arc<Lineage>,
}

/// What a pool is made of.
pub(crate) struct PoolParts<'a> {
    pub(crate) config: &'a config::Pool,
    /// There is one if the configuration has TLS.
    pub(crate) tls: Option<PeerTls>,
    pub(crate) own_zone: Option<&'a ZoneName>,
    /// For the sticky cookie, if there is one without a secret of its own.
    pub(crate) secret: &'a [u8],
    pub(crate) new_policy: PolicyFactory,
    /// Not needed with a predecessor, which has one.
    pub(crate) random: Random,
    /// The pool of this name that is current; the new one [takes over](Pool::take_over) when it is told to.
    pub(crate) predecessor: Option<&'a Arc<Pool>>,
    /// Where changes are noted; not needed with a predecessor either.
    pub(crate) journal: Arc<Journal>,
    pub(crate) now: Instant,
}

impl Pool {
    /// A pool whose endpoints are all fit at once, or all checking when they are probed; with a predecessor, one that goes
    /// on with what is known.
    pub(crate) fn new(parts: PoolParts<'_>) -> Arc<Self> {
        let PoolParts { config, tls, own_zone, secret, new_policy, random, predecessor, journal, now } =
            parts;
        let generation = Arc::new(Generation {
            sticky: config.sticky.as_ref().map(|sticky| Sticky::new(sticky, secret, config)),
            config: config.clone(),
            tls,
            own_zone: own_zone.cloned(),
            new_policy,
        });
        let (lineage, endpoints) = match predecessor {
            None => Lineage::begin(&generation, random, journal, now),
            Some(predecessor) => {
                let lineage = predecessor.lineage.clone();
                let endpoints = lineage.endpoints_for(&generation, now);
                (lineage, endpoints)
            }
        };
        Arc::new(Self { generation, endpoints, lineage })
    }

    pub(crate) fn name(&self) -> &PoolName {
        &self.generation.config.name
    }

    pub(crate) fn config(&self) -> &config::Pool {
        &self.generation.config
    }

    /// TLS towards the endpoints, as it is configured and with what its files held.
    pub(super) fn tls(&self) -> Option<(&config::UpstreamTls, &PeerTls)> {
        self.generation.tls()
    }

    /// Whether TLS is spoken with what these files held.
    pub(crate) fn has_tls(&self, tls: Option<&PeerTls>) -> bool {
        self.tls().map(|(_, own)| own.digest()) == tls.map(PeerTls::digest)
    }

    /// Whether the files that both of them name for TLS hold something else by now.
    pub(crate) fn tls_files_changed(&self, former: &Self) -> bool {
        let files = |config: &config::UpstreamTls| (config.ca.clone(), config.identity.clone());
        self.tls().zip(former.tls()).is_some_and(|((config, tls), (former_config, former))| {
            files(config) == files(former_config) && tls.digest() != former.digest()
        })
    }

    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.config().timeouts
    }

    pub(crate) fn health(&self) -> Option<&config::Health> {
        self.config().health.as_ref()
    }

    pub(crate) fn sticky(&self) -> Option<&Sticky> {
        self.generation.sticky.as_ref()
    }

    /// Requests in flight, at an endpoint or between two attempts.
    pub(crate) fn in_flight(&self) -> u32 {
        self.lineage.load.in_flight()
    }

    /// Requests that wait for an endpoint.
    pub(crate) fn waiting(&self) -> usize {
        self.lineage.queue.waiting()
    }

    /// Whether so few endpoints are fit that all serve that can be connected to.
    pub(crate) fn is_in_panic(&self) -> bool {
        self.lineage.picker.load().is_panic
    }

    // === Picks ===

    /// Picks an endpoint for a request: the one it is `pinned` to if that still serves its own, else by the policy.
    pub(crate) fn pick(&self, cx: &PickCx<'_>, pinned: Option<usize>, random: &mut Random) -> Pick {
        if let Some(lease) = pinned.and_then(|index| self.lease_pinned(index, cx.now())) {
            cx.decided_by(PickedBy::Cookie);
            return Pick::Endpoint(lease);
        }
        self.pick_by_policy(cx, &[], random)
    }

    /// Picks by the policy; where that names an endpoint that was `tried`, another one if there is one with room.
    pub(crate) fn pick_by_policy(
        &self,
        cx: &PickCx<'_>,
        tried: &[Arc<Endpoint>],
        random: &mut Random,
    ) -> Pick {
        // Whoever waits goes first, unless nobody is left to wait for.
        let picker = self.lineage.picker.load();
        if self.lineage.queue.waiting() > 0 && !picker.is_empty() {
            return Pick::NoRoom;
        }
        picker.pick(cx, tried, random)
    }

    /// Whom the policy would pick, without giving it anything; `None` where nobody gets work.
    pub(crate) fn preview(&self, cx: &PickCx<'_>, random: &mut Random) -> Option<Arc<EndpointAddr>> {
        self.lineage.picker.load().preview(cx, random).map(|endpoint| endpoint.address().clone())
    }

    fn lease_pinned(&self, index: usize, now: Instant) -> Option<Lease> {
        let endpoint = self.endpoints.get(index).filter(|_| self.serves_its_own(index))?;
        self.lineage.picker.load().find(endpoint)?.try_lease(now)
    }

    /// Whether an endpoint serves clients that stick to it, by its index in this pool. One in drain takes no new ones, but
    /// its own until they are gone.
    pub(crate) fn serves_its_own(&self, index: usize) -> bool {
        let Some(endpoint) = self.endpoints.get(index) else { return false };
        match endpoint.state() {
            State::Fit => true,
            state if state.is_in_drain() => {
                let roster = self.lineage.roster.lock();
                let serves = |standing: &Standing| {
                    standing.health() == Health::Fit && standing.ejected_until().is_none()
                };
                roster.standing_of(endpoint).is_some_and(serves)
            }
            _ => false,
        }
    }

    /// Picks for an attempt after failed ones: an endpoint that was not tried yet while such a one is fit. The policy
    /// is not asked, so that a retry takes no turn from the requests that come after it.
    pub(crate) fn pick_another(
        &self,
        tried: &[Arc<Endpoint>],
        now: Instant,
        random: &mut Random,
    ) -> Option<Lease> {
        self.lineage.picker.load().pick_another(tried, now, random)
    }

    /// The same where an endpoint that was tried is of no use.
    pub(crate) fn pick_untried(
        &self,
        tried: &[Arc<Endpoint>],
        now: Instant,
        random: &mut Random,
    ) -> Option<Lease> {
        self.lineage.picker.load().pick_untried(tried, now, random)
    }

    /// Whether another pick would be one of `tried` again, so that the attempt waits a moment first. Nothing is picked for
    /// the answer.
    pub(crate) fn would_repeat(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.lineage.picker.load().would_repeat(tried)
    }

    /// Picks without regard to those that wait.
    pub(crate) fn pick_with_room(&self, cx: &PickCx<'_>, random: &mut Random) -> Option<Lease> {
        match self.lineage.picker.load().pick(cx, &[], random) {
            Pick::Endpoint(lease) => Some(lease),
            Pick::NoRoom | Pick::NobodyFit | Pick::PolicyFailed => None,
        }
    }

    /// Whether a retry would find an endpoint that was not tried, and is not the one at hand either.
    pub(crate) fn has_another(&self, tried: &[Arc<Endpoint>], lease: &Lease) -> bool {
        self.lineage.picker.load().has_another(tried, lease.endpoint())
    }

    /// Waits in line for a place at an endpoint. `pick` is asked once, for room that there is already.
    pub(crate) async fn wait_for_room(
        &self,
        pick: impl FnOnce() -> Option<Lease>,
    ) -> Result<Lease, QueueError> {
        let lease = self.lineage.queue.wait(&self.config().queue, pick).await?;
        // Whoever stood behind saw this one before it, and asked nobody.
        self.lineage.picker.load().serve_waiting();
        Ok(lease)
    }

    // === Health ===

    /// Waits until the first endpoint is fit, or none waits for its first probe any more, so that a start is not
    /// taken for an outage; at most `limit`. Returns at once in all but the first moments of a pool.
    pub(crate) async fn wait_until_settled(&self, limit: Duration) {
        let mut settled = self.lineage.settled.subscribe();
        // Both ends of the wait are followed by a pick that says what is fit by then.
        let _ = tokio::time::timeout(limit, settled.wait_for(|settled| *settled)).await;
    }

    /// Whether the first probes have told enough to judge by.
    pub(crate) fn is_settled(&self) -> bool {
        *self.lineage.settled.borrow()
    }

    /// Has all its probes say this of an endpoint.
    pub(crate) fn set_health(&self, endpoint: &Endpoint, health: Health, now: Instant) {
        self.change(&"it was told so", now, |roster| {
            let index = roster.index_of(endpoint)?;
            roster.set_health(index, health, now);
            Some(())
        });
    }

    /// Notes what one probe found; `threshold` results against the present health change it. Of an address that comes with
    /// this pool it is kept until the pool takes over. `None` where this is not how the pool is configured by now, and other
    /// probes decide. The words say what was found.
    pub(super) fn note_probe(
        &self,
        endpoint: &Endpoint,
        (found, words): (Health, &str),
        threshold: usize,
        now: Instant,
    ) -> Option<Verdict> {
        let mut verdict = None;
        self.change(&words, now, |roster| {
            let is_current = Arc::ptr_eq(&roster.generation, &self.generation);
            let index = roster.index_of(endpoint);
            if index.is_none() && endpoint.state() == State::Checking {
                let before = endpoint.record().note_ahead(found);
                verdict = Some(Verdict { before, streak: Streak::of(found) });
            }
            let index = index.filter(|_| is_current)?;
            let before = roster.standings[index].health();
            let streak = roster.observe(index, found, threshold, now);
            verdict = Some(Verdict { before, streak });
            (streak.health() != before).then_some(())
        });
        verdict
    }

    /// Takes an endpoint out: no new work, but it finishes the old and serves those that stick to it. Or back in, with
    /// a weight of 1 if it had none.
    pub(crate) fn set_drained(&self, endpoint: &Endpoint, is_drained: bool, now: Instant) {
        let why = if is_drained { "an operator took it out" } else { "an operator took it in again" };
        self.change(&why, now, |roster| {
            let index = roster.index_of(endpoint)?;
            roster.set_drained(index, is_drained, now);
            Some(())
        });
    }

    /// Changes an endpoint's share from now on. A weight of 0 drains it, and any other ends a drain.
    pub(crate) fn set_weight(&self, endpoint: &Endpoint, weight: Weight, now: Instant) {
        self.change(&format_args!("an operator gave it the weight {}", weight.get()), now, |roster| {
            let index = roster.index_of(endpoint)?;
            roster.set_weight(index, weight, now);
            Some(())
        });
    }

    pub(super) fn change<T>(
        &self,
        why: &dyn fmt::Display,
        now: Instant,
        change: impl FnOnce(&mut Roster) -> Option<T>,
    ) -> Option<T> {
        self.lineage.change(why, now, change)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", self.name())
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// What the probes of an endpoint say, before and after one of them.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) before: Health,
    pub(super) streak: Streak,
}

/// The endpoints that a request was sent to in vain; few, so kept in place.
pub(crate) type Tried = SmallVec<[Arc<Endpoint>; 2]>;
