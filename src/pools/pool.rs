use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::config;
use crate::config::spec::Timeouts;
use crate::hooks::{Member, PickCx, Policy, PoolLoad};
use crate::types::{PoolName, Random, Weight, ZoneName};

use super::endpoint::{Common, Endpoint, State};
use super::lease::Lease;
use super::peer::{PeerTls, server_name};
use super::picker::{Pick, Picker, Rules};
use super::queue::{Queue, QueueError};
use super::standing::{Health, Standing};
use super::sticky::Sticky;

/// Builds a policy for a set of members; called whenever the set or a weight changes.
pub(crate) type PolicyFactory = Box<dyn Fn(&[Member], &mut Random) -> Box<dyn Policy> + Send + Sync>;

/// A named set of endpoints with a policy that picks one of them.
///
/// Nothing here looks at a clock or makes up randomness: both come with each call, so that the simulator runs the very
/// same code on a time of its own.
pub(crate) struct Pool {
    config: config::Pool,
    /// There is one if the configuration has TLS.
    tls: Option<PeerTls>,
    own_zone: Option<ZoneName>,
    endpoints: Vec<Arc<Endpoint>>,
    new_policy: PolicyFactory,
    picker: ArcSwap<Picker>,
    /// The lock also keeps the order of flips, so that the picker published last is the one of the last flip.
    pub(super) roster: Mutex<Roster>,
    queue: Arc<Queue>,
    load: Arc<PoolLoad>,
    /// Attempts in flight that repeat an earlier one.
    retries: AtomicU32,
    sticky: Option<Sticky>,
    /// True once an endpoint is fit, or none waits for its first probe any more.
    settled: watch::Sender<bool>,
    /// Woken when an ejection begins, so that its end can be waited for.
    pub(super) ejected: Notify,
}

/// What decides about who gets work.
pub(super) struct Roster {
    /// By the endpoints' index.
    pub(super) standings: Vec<Standing>,
    /// For the jitter of ejections and for policies that begin somewhere.
    pub(super) random: Random,
}

/// A request that is between two attempts: in flight at the pool, though at no endpoint.
#[derive(Debug)]
pub(crate) struct BetweenAttempts {
    load: Arc<PoolLoad>,
}

/// Leave for a retry, which counts against the budget until this is dropped.
#[derive(Debug)]
pub(crate) struct RetryPermit {
    pool: Arc<Pool>,
}

impl Pool {
    /// A pool whose endpoints are all fit at once, or all checking when they are probed. `secret` is for its sticky
    /// cookie, if it has one and no secret of its own.
    pub(crate) fn new(
        config: &config::Pool,
        tls: Option<PeerTls>,
        own_zone: Option<&ZoneName>,
        secret: &[u8],
        new_policy: PolicyFactory,
        mut random: Random,
        now: Instant,
    ) -> Self {
        let at_first = if config.health.is_some() { Health::Checking } else { Health::Fit };
        let standing = |endpoint: &config::Endpoint| {
            let mut standing = Standing::new(at_first);
            standing.set_drained(endpoint.weight.get() == 0);
            standing
        };
        let standings: Vec<_> = config.endpoints.iter().map(standing).collect();
        let load = Arc::default();
        let queue = Queue::new(config.queue.size, config.queue.timeout.get());
        let endpoints: Vec<_> = config
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| {
                let state = standings[index].state();
                let common = Common { config, tls: tls.as_ref(), queue: &queue, load: &load, state, now };
                Arc::new(Endpoint::new(endpoint, index, &common))
            })
            .collect();
        let rules = Rules { own_zone, panic: config.panic, new_policy: &new_policy };
        let picker = Picker::new(&endpoints, &standings, &rules, None, &mut random);
        picker.tell(&endpoints);
        Self {
            sticky: config.sticky.as_ref().map(|sticky| Sticky::new(sticky, secret, config)),
            own_zone: own_zone.cloned(),
            settled: watch::Sender::new(config.health.is_none()),
            ejected: Notify::new(),
            config: config.clone(),
            tls,
            endpoints,
            new_policy,
            picker: ArcSwap::from_pointee(picker),
            roster: Mutex::new(Roster { standings, random }),
            queue,
            load,
            retries: AtomicU32::new(0),
        }
    }

    pub(crate) fn name(&self) -> &PoolName {
        &self.config.name
    }

    pub(crate) fn config(&self) -> &config::Pool {
        &self.config
    }

    /// TLS towards the endpoints, as it is configured and with what its files held.
    pub(super) fn tls(&self) -> Option<(&config::UpstreamTls, &PeerTls)> {
        self.config.tls.as_ref().zip(self.tls.as_ref())
    }

    /// Whether TLS is spoken with what these files held.
    pub(crate) fn has_tls(&self, tls: Option<&PeerTls>) -> bool {
        self.tls.as_ref().map(PeerTls::digest) == tls.map(PeerTls::digest)
    }

    /// How TLS is begun with an endpoint, and the name that its certificate has to hold; `None` where none is spoken.
    pub(crate) fn tls_client(&self, endpoint: &Endpoint) -> Option<(&Arc<rustls::ClientConfig>, String)> {
        let (config, tls) = self.tls()?;
        Some((tls.client(), server_name(config, endpoint.address())))
    }

    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.config.timeouts
    }

    pub(crate) fn health(&self) -> Option<&config::Health> {
        self.config.health.as_ref()
    }

    pub(crate) fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref()
    }

    /// Requests in flight, at an endpoint or between two attempts.
    pub(crate) fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// Requests that wait for an endpoint.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Retries in flight that count against the budget.
    pub(crate) fn retries(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Whether so few endpoints are fit that all serve that can be connected to.
    pub(crate) fn is_in_panic(&self) -> bool {
        self.picker.load().is_panic
    }

    // === Picks ===

    /// Picks an endpoint for a request: the one it is `pinned` to if that still serves its own, else by the policy.
    pub(crate) fn pick(&self, cx: &PickCx<'_>, pinned: Option<usize>, random: &mut Random) -> Pick {
        if let Some(lease) = pinned.and_then(|index| self.lease_pinned(index, cx.now())) {
            return Pick::Endpoint(lease);
        }
        // Whoever waits goes first, unless nobody is left to wait for.
        let picker = self.picker.load();
        if self.queue.waiting() > 0 && !picker.is_empty() {
            return Pick::NoRoom;
        }
        picker.pick(cx, random)
    }

    fn lease_pinned(&self, index: usize, now: Instant) -> Option<Lease> {
        if self.serves_its_own(index) { self.endpoints[index].try_lease(now) } else { None }
    }

    /// Whether an endpoint serves clients that stick to it. One in drain takes no new ones, but its own until they are
    /// gone.
    pub(crate) fn serves_its_own(&self, index: usize) -> bool {
        match self.endpoints.get(index).map(|endpoint| endpoint.state()) {
            Some(State::Fit) => true,
            Some(state) if state.is_in_drain() => {
                let standing = &self.roster.lock().standings[index];
                standing.health() == Health::Fit && standing.ejected_until().is_none()
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
        self.picker.load().pick_another(tried, now, random)
    }

    /// Picks without regard to those that wait.
    pub(crate) fn pick_with_room(&self, cx: &PickCx<'_>, random: &mut Random) -> Option<Lease> {
        match self.picker.load().pick(cx, random) {
            Pick::Endpoint(lease) => Some(lease),
            Pick::NoRoom | Pick::NobodyFit | Pick::PolicyFailed => None,
        }
    }

    /// Whether a retry would find an endpoint that was not tried, and is not the one at hand either.
    pub(crate) fn has_another(&self, tried: &[Arc<Endpoint>], lease: &Lease) -> bool {
        self.picker.load().has_another(tried, lease.endpoint())
    }

    /// Waits in line for a place at an endpoint. `pick` is asked once, for room that there is already.
    pub(crate) async fn wait_for_room(
        &self,
        pick: impl FnOnce() -> Option<Lease>,
    ) -> Result<Lease, QueueError> {
        let lease = self.queue.wait(pick).await?;
        // Whoever stood behind saw this one before it, and asked nobody.
        self.picker.load().serve_waiting();
        Ok(lease)
    }

    /// Leave to repeat an attempt, if the budget has any: its share of what is in flight, or its minimum.
    pub(crate) fn permit_retry(self: &Arc<Self>) -> Option<RetryPermit> {
        let allowed = self.allowed_retries();
        let one_more = |count: u32| (count < allowed).then_some(count + 1);
        let permitted = self.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        permitted.is_ok().then(|| RetryPermit { pool: self.clone() })
    }

    /// Whether there would be leave for a retry at this moment.
    pub(crate) fn has_budget(&self) -> bool {
        self.retries() < self.allowed_retries()
    }

    fn allowed_retries(&self) -> u32 {
        let retry = &self.config.retry;
        retry.budget.of(self.in_flight()).max(retry.budget_min)
    }

    /// Counts a request as in flight while it has no endpoint, so that the budget does not shrink by those that wait for
    /// their next attempt.
    pub(crate) fn between_attempts(&self) -> BetweenAttempts {
        self.load.begin();
        BetweenAttempts { load: self.load.clone() }
    }

    // === Health ===

    /// Waits until the first endpoint is fit, or none waits for its first probe any more, so that a start is not
    /// taken for an outage; at most `limit`. Returns at once in all but the first moments of a pool.
    pub(crate) async fn wait_until_settled(&self, limit: Duration) {
        let mut settled = self.settled.subscribe();
        // Both ends of the wait are followed by a pick that says what is fit by then.
        let _ = tokio::time::timeout(limit, settled.wait_for(|settled| *settled)).await;
    }

    /// Whether the first probes have told enough to judge by.
    pub(crate) fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// Notes what probes found.
    pub(crate) fn set_health(&self, endpoint: &Endpoint, health: Health, now: Instant) {
        self.change(|Roster { standings, .. }| {
            let standing = &mut standings[endpoint.index()];
            // Those that are all new start together, and nobody slowly.
            let comes_back = matches!(standing.health(), Health::Unfit { .. }) && health == Health::Fit;
            standing.set_health(health);
            if comes_back {
                self.welcome_back(endpoint, standings, now);
            }
            Some(())
        });
        let is_settled = health == Health::Fit
            || self.endpoints.iter().all(|endpoint| endpoint.state() != State::Checking);
        self.settled.send_if_modified(|settled| is_settled && !std::mem::replace(settled, true));
    }

    /// Takes an endpoint out: no new work, but it finishes the old and serves those that stick to it. Or back in, with
    /// a weight of 1 if it had none.
    pub(crate) fn set_drained(&self, endpoint: &Endpoint, is_drained: bool, now: Instant) {
        self.change(|roster| {
            if !is_drained && endpoint.weight() == 0 {
                endpoint.set_weight(Weight::default());
            }
            self.drain(endpoint, is_drained, &mut roster.standings, now);
            Some(())
        });
    }

    /// Changes an endpoint's share from now on. A weight of 0 drains it, and any other ends a drain.
    pub(crate) fn set_weight(&self, endpoint: &Endpoint, weight: Weight, now: Instant) {
        self.change(|roster| {
            endpoint.set_weight(weight);
            self.drain(endpoint, weight.get() == 0, &mut roster.standings, now);
            Some(())
        });
    }

    fn drain(&self, endpoint: &Endpoint, is_drained: bool, standings: &mut [Standing], now: Instant) {
        let standing = &mut standings[endpoint.index()];
        let comes_back = standing.is_drained() && !is_drained;
        standing.set_drained(is_drained);
        if comes_back {
            self.welcome_back(endpoint, standings, now);
        }
    }

    /// An endpoint that comes back begins as one that nobody knows, and slowly.
    fn welcome_back(&self, endpoint: &Endpoint, standings: &[Standing], now: Instant) {
        endpoint.load().forget_latency();
        self.start_slowly(endpoint, standings, now);
    }

    /// Begins a slow start, if others carry the load meanwhile.
    pub(super) fn start_slowly(&self, endpoint: &Endpoint, standings: &[Standing], now: Instant) {
        let is_other = |other: &&Arc<Endpoint>| other.index() != endpoint.index();
        let mut others = self.endpoints.iter().filter(is_other);
        if others.any(|other| standings[other.index()].state() == State::Fit) {
            endpoint.load().warm_up(now);
        } else {
            endpoint.load().stop_warming();
        }
    }

    /// Changes what decides about who gets work, then publishes that. Nothing is published where `change` gives nothing
    /// back, since it has found nothing to change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Roster) -> Option<T>) -> Option<T> {
        let mut roster = self.roster.lock();
        let changed = change(&mut roster)?;
        let Roster { standings, random } = &mut *roster;
        self.trust_the_last(standings);
        for (endpoint, standing) in self.endpoints.iter().zip(standings.iter()) {
            endpoint.publish(standing.state());
        }
        let rules = Rules {
            own_zone: self.own_zone.as_ref(),
            panic: self.config.panic,
            new_policy: &self.new_policy,
        };
        let before = self.picker.load();
        let picker = Arc::new(Picker::new(&self.endpoints, standings, &rules, Some(&before), random));
        self.picker.store(picker.clone());
        picker.tell(&self.endpoints);
        drop(roster);
        picker.serve_waiting();
        Some(changed)
    }

    /// One request at a time is no way to serve a pool: where nobody else is fit, trials are over.
    fn trust_the_last(&self, standings: &mut [Standing]) {
        if standings.iter().any(|standing| standing.state() == State::Fit && !standing.is_on_trial()) {
            return;
        }
        for (endpoint, standing) in self.endpoints.iter().zip(standings) {
            if standing.is_on_trial() {
                standing.end_trial();
                endpoint.load().end_trial();
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", self.name())
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

impl Drop for BetweenAttempts {
    fn drop(&mut self) {
        self.load.end();
    }
}

impl Drop for RetryPermit {
    fn drop(&mut self) {
        self.pool.retries.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The endpoints that a request was sent to in vain; few, so kept in place.
pub(crate) type Tried = SmallVec<[Arc<Endpoint>; 2]>;
