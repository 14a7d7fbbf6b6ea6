use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::config;
use crate::config::spec::{OutlierLimits, Timeouts};
use crate::hooks::{Member, PickCx, Policy, PoolLoad};
use crate::types::{PoolName, Random, Weight, ZoneName};

use super::endpoint::{Common, Endpoint, Lease, State};
use super::outcome::Outcome;
use super::picker::{Picked, Picker, Rules};
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
    own_zone: Option<ZoneName>,
    endpoints: Vec<Arc<Endpoint>>,
    new_policy: PolicyFactory,
    picker: ArcSwap<Picker>,
    /// The lock also keeps the order of flips, so that the picker published last is the one of the last flip.
    roster: Mutex<Roster>,
    queue: Arc<Queue>,
    load: Arc<PoolLoad>,
    /// Attempts in flight that repeat an earlier one.
    retries: AtomicU32,
    sticky: Option<Sticky>,
    /// True once an endpoint is fit, or none waits for its first probe any more.
    settled: watch::Sender<bool>,
    /// Woken when an ejection begins, so that its end can be waited for.
    ejected: Notify,
}

/// What decides about who gets work.
struct Roster {
    /// By the endpoints' index.
    standings: Vec<Standing>,
    /// For the jitter of ejections and for policies that begin somewhere.
    random: Random,
}

/// What a pick came to.
#[derive(Debug)]
pub(crate) enum Pick {
    /// This endpoint; it counts as in flight from now on.
    Endpoint(Lease),
    /// Every endpoint that gets work has as many requests as it may: wait for a place.
    NoRoom,
    /// No endpoint is fit.
    NobodyFit,
    /// The policy panicked or answered out of range.
    PolicyFailed,
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
                let common = Common { config, queue: &queue, load: &load, state, now };
                Arc::new(Endpoint::new(endpoint, index, &common))
            })
            .collect();
        let rules = Rules { own_zone, panic: config.panic, new_policy: &new_policy };
        let picker = Picker::new(&endpoints, &standings, &rules, &mut random);
        Self {
            sticky: config.sticky.as_ref().map(|sticky| Sticky::new(sticky, secret, config)),
            own_zone: own_zone.cloned(),
            settled: watch::Sender::new(config.health.is_none()),
            ejected: Notify::new(),
            config: config.clone(),
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
        match picker.pick(cx, random) {
            Picked::Endpoint(lease) => Pick::Endpoint(lease),
            Picked::NoRoom => Pick::NoRoom,
            Picked::Nobody => Pick::NobodyFit,
            Picked::PolicyFailed => Pick::PolicyFailed,
        }
    }

    fn lease_pinned(&self, index: usize, now: Instant) -> Option<Lease> {
        if self.serves_its_own(index) { self.endpoints[index].try_lease(now) } else { None }
    }

    /// Whether an endpoint serves clients that stick to it. One in drain takes no new ones, but its own until they are
    /// gone.
    pub(crate) fn serves_its_own(&self, index: usize) -> bool {
        match self.endpoints.get(index).map(|endpoint| endpoint.state()) {
            Some(State::Fit) => true,
            Some(State::Draining | State::Drained) => {
                self.roster.lock().standings[index].health() == Health::Fit
            }
            Some(State::Checking | State::Unfit | State::Ejected) | None => false,
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
            Picked::Endpoint(lease) => Some(lease),
            Picked::NoRoom | Picked::Nobody | Picked::PolicyFailed => None,
        }
    }

    /// Waits in line for a place at an endpoint. `pick` is asked once, for room that there is already.
    pub(crate) async fn wait_for_room(
        &self,
        pick: impl FnOnce() -> Option<Lease>,
    ) -> Result<Lease, QueueError> {
        self.queue.wait(pick).await
    }

    /// Leave to repeat an attempt, if the budget has any: its share of what is in flight, or its minimum.
    pub(crate) fn permit_retry(self: &Arc<Self>) -> Option<RetryPermit> {
        let retry = &self.config.retry;
        let allowed = retry.budget.of(self.in_flight()).max(retry.budget_min);
        let one_more = |count: u32| (count < allowed).then_some(count + 1);
        let permitted = self.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        permitted.is_ok().then(|| RetryPermit { pool: self.clone() })
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
        self.change(|pool, standings| {
            let standing = &mut standings[endpoint.index()];
            // Those that are all new start together, and nobody slowly.
            let comes_back = matches!(standing.health(), Health::Unfit { .. }) && health == Health::Fit;
            standing.set_health(health);
            if comes_back {
                pool.welcome_back(endpoint, standings, now);
            }
        });
        let is_settled = health == Health::Fit
            || self.endpoints.iter().all(|endpoint| endpoint.state() != State::Checking);
        self.settled.send_if_modified(|settled| !std::mem::replace(settled, is_settled) && is_settled);
    }

    /// Takes an endpoint out: no new work, but it finishes the old and serves those that stick to it. Or back in, with
    /// a weight of 1 if it had none.
    pub(crate) fn set_drained(&self, endpoint: &Endpoint, is_drained: bool, now: Instant) {
        self.change(|pool, standings| {
            if !is_drained && endpoint.weight() == 0 {
                endpoint.set_weight(Weight::default());
            }
            pool.drain(endpoint, is_drained, standings, now);
        });
    }

    /// Changes an endpoint's share from now on. A weight of 0 drains it, and any other ends a drain.
    pub(crate) fn set_weight(&self, endpoint: &Endpoint, weight: Weight, now: Instant) {
        self.change(|pool, standings| {
            endpoint.set_weight(weight);
            pool.drain(endpoint, weight.get() == 0, standings, now);
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
    fn start_slowly(&self, endpoint: &Endpoint, standings: &[Standing], now: Instant) {
        let is_other = |other: &&Arc<Endpoint>| other.index() != endpoint.index();
        let mut others = self.endpoints.iter().filter(is_other);
        if others.any(|other| standings[other.index()].state() == State::Fit) {
            endpoint.load().warm_up(now);
        } else {
            endpoint.load().stop_warming();
        }
    }

    /// Changes standings, then publishes who gets work from now on.
    fn change<R>(&self, change: impl FnOnce(&Self, &mut Vec<Standing>) -> R) -> R {
        let mut roster = self.roster.lock();
        let Roster { standings, random } = &mut *roster;
        let result = change(self, standings);
        for (endpoint, standing) in self.endpoints.iter().zip(standings.iter()) {
            endpoint.publish(standing.state());
        }
        let rules = Rules {
            own_zone: self.own_zone.as_ref(),
            panic: self.config.panic,
            new_policy: &self.new_policy,
        };
        let picker = Arc::new(Picker::new(&self.endpoints, standings, &rules, random));
        self.picker.store(picker.clone());
        drop(roster);
        picker.serve_waiting();
        result
    }

    // === Outlier detection ===

    /// Notes what an attempt came to: what it took, and whether the endpoint is to be left out for a while.
    pub(crate) fn record(&self, endpoint: &Endpoint, outcome: &Outcome, now: Instant) {
        endpoint.load().observe(outcome.counts_as(), now);
        let failed = outcome.is_failure();
        if self.config.outlier.is_some() {
            endpoint.window.note(failed, endpoint.nanos(now));
        }
        if !failed {
            // Read first: nearly always there is nothing to write.
            if endpoint.failures_in_row.load(Ordering::Relaxed) != 0 {
                endpoint.failures_in_row.store(0, Ordering::Relaxed);
            }
            if endpoint.is_on_trial() {
                self.pass_trial(endpoint, now);
            }
            return;
        }
        endpoint.load().count_failure();
        let in_row = endpoint.failures_in_row.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(limits) = &self.config.outlier
            && let Some(reason) = reason_to_eject(endpoint, limits, in_row, now)
        {
            self.eject(endpoint, limits, &reason, now);
        }
    }

    fn eject(&self, endpoint: &Endpoint, limits: &OutlierLimits, reason: &str, now: Instant) {
        let mut roster = self.roster.lock();
        let Roster { standings, random } = &mut *roster;
        if !may_eject(standings, endpoint.index(), limits) {
            return;
        }
        let length = standings[endpoint.index()].eject(limits, now, random);
        drop(roster);
        endpoint.end_trial();
        self.change(|_, _| ());
        self.ejected.notify_one();
        let (pool, address) = (self.name(), endpoint.address());
        log::warn!("endpoint is ejected pool={pool} endpoint={address} for={length:.1?} reason={reason:?}");
    }

    fn pass_trial(&self, endpoint: &Endpoint, now: Instant) {
        let is_passed = self.roster.lock().standings[endpoint.index()].pass_trial();
        if is_passed {
            endpoint.end_trial();
            self.change(|pool, standings| pool.start_slowly(endpoint, standings, now));
            log::info!("endpoint is trusted again pool={} endpoint={}", self.name(), endpoint.address());
        }
    }

    /// When ejections end, by the endpoints' index.
    pub(crate) fn ejected_until(&self) -> Vec<Option<Instant>> {
        self.roster.lock().standings.iter().map(Standing::ejected_until).collect()
    }

    /// Ends the ejections whose time is over: their endpoints are on trial from now on. Returns when the next one
    /// ends.
    pub(crate) fn end_ejections(&self, now: Instant) -> Option<Instant> {
        let (returned, next) = {
            let standings = &mut self.roster.lock().standings;
            let returned: Vec<_> = self
                .endpoints
                .iter()
                .filter(|endpoint| standings[endpoint.index()].return_to_trial(now))
                .cloned()
                .collect();
            (returned, standings.iter().filter_map(Standing::ejected_until).min())
        };
        if !returned.is_empty() {
            returned.iter().for_each(|endpoint| endpoint.begin_trial());
            self.change(|_, _| ());
        }
        for endpoint in returned {
            log::info!("endpoint is on trial pool={} endpoint={}", self.name(), endpoint.address());
        }
        next
    }

    /// Ends ejections when their time is over, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        loop {
            match self.end_ejections(Instant::now()) {
                None => self.ejected.notified().await,
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = self.ejected.notified() => {}
                },
            }
        }
    }
}

/// Why an endpoint whose request just failed should be left out for a while.
fn reason_to_eject(endpoint: &Endpoint, limits: &OutlierLimits, in_row: u32, now: Instant) -> Option<String> {
    if endpoint.is_on_trial() {
        return Some("failed on trial".to_owned());
    }
    if in_row >= limits.consecutive {
        return Some(format!("{in_row} failures in a row"));
    }
    let (requests, failures) = endpoint.window.sum(endpoint.nanos(now));
    let is_enough = requests >= u64::from(limits.min_requests);
    let is_bad = failures * 100 >= requests * u64::from(limits.failure_rate.get());
    (is_enough && is_bad).then(|| format!("{failures} of {requests} requests failed"))
}

/// Whether the endpoint is fit and not the last one, and the share of ejected ones leaves room for it.
fn may_eject(standings: &[Standing], index: usize, limits: &OutlierLimits) -> bool {
    let is_fit = |standing: &Standing| standing.state() == State::Fit;
    let others = || standings.iter().enumerate().filter(|&(other, _)| other != index).map(|(_, one)| one);
    let count = u32::try_from(standings.len()).unwrap_or(u32::MAX);
    let most = match limits.max_ejected.get() {
        0 => 0,
        _ => limits.max_ejected.of(count).max(1) as usize,
    };
    let ejected = others().filter(|standing| standing.ejected_until().is_some()).count();
    is_fit(&standings[index]) && ejected < most && others().any(|other| is_fit(other) && !other.is_on_trial())
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
