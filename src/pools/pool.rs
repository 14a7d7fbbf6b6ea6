use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::watch;

use crate::config;
use crate::config::spec::Timeouts;
use crate::hooks::{Member, PickCx, Policy};
use crate::types::{PoolName, Random};

use super::endpoint::{Endpoint, Fitness, Lease};
use super::policy::least_loaded_of;

/// Builds a policy for a set of members; called whenever the set changes.
pub(crate) type PolicyFactory = Box<dyn Fn(&[Member]) -> Box<dyn Policy> + Send + Sync>;

/// A named set of endpoints with a policy that picks one of them.
pub(crate) struct Pool {
    name: PoolName,
    policy_name: String,
    endpoints: Vec<Arc<Endpoint>>,
    timeouts: Timeouts,
    health: Option<config::Health>,
    new_policy: PolicyFactory,
    picker: ArcSwap<Picker>,
    /// Serialises flips, so that the picker published last is the one of the last flip.
    flips: Mutex<()>,
    /// True once an endpoint is fit, or none waits for its first probe any more.
    settled: watch::Sender<bool>,
}

/// The fit members at one moment, and the policy built for them.
struct Picker {
    members: Vec<Member>,
    endpoints: Vec<Arc<Endpoint>>,
    /// None for no members, and when building it panicked.
    policy: Option<Box<dyn Policy>>,
}

/// What a pick came to.
#[derive(Debug)]
pub(crate) enum Pick {
    /// This endpoint; it counts as in flight from now on.
    Endpoint(Lease),
    /// No endpoint is fit, or all that are were tried.
    NobodyFit,
    /// The policy panicked or answered out of range.
    PolicyFailed,
}

impl Pool {
    /// A pool whose endpoints are all fit at once, or all checking when they are probed.
    pub(crate) fn new(config: &config::Pool, new_policy: PolicyFactory) -> Self {
        let at_first = if config.health.is_some() { Fitness::Checking } else { Fitness::Fit };
        let endpoint = |endpoint: &config::Endpoint| {
            let config::Endpoint { address, weight } = endpoint.clone();
            Arc::new(Endpoint::new(address, weight, &config.timeouts, &config.keepalive, at_first))
        };
        let endpoints: Vec<_> = config.endpoints.iter().map(endpoint).collect();
        let picker = Picker::new(&endpoints, &new_policy);
        Self {
            name: config.name.clone(),
            policy_name: config.balance.policy.clone(),
            endpoints,
            timeouts: config.timeouts.clone(),
            health: config.health.clone(),
            new_policy,
            picker: ArcSwap::from_pointee(picker),
            flips: Mutex::new(()),
            settled: watch::Sender::new(config.health.is_none()),
        }
    }

    pub(crate) fn name(&self) -> &PoolName {
        &self.name
    }

    pub(crate) fn policy_name(&self) -> &str {
        &self.policy_name
    }

    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    pub(crate) fn health(&self) -> Option<&config::Health> {
        self.health.as_ref()
    }

    /// Picks a fit endpoint that is not among `tried`. The policy decides about first attempts only: a retry goes to
    /// the least loaded of the others, so that it takes no turn from the requests that come after it.
    pub(crate) fn pick(&self, cx: &PickCx<'_>, tried: &[Arc<Endpoint>], random: &mut Random) -> Pick {
        let picker = self.picker.load();
        if picker.members.is_empty() {
            return Pick::NobodyFit;
        }
        if !tried.is_empty() {
            let another = picker.least_loaded_but(tried, random);
            return another.map_or(Pick::NobodyFit, |endpoint| Pick::Endpoint(endpoint.lease()));
        }
        let Some(policy) = &picker.policy else { return Pick::PolicyFailed };
        // A user's policy may panic; that is the end of this request alone.
        let picked = catch_unwind(AssertUnwindSafe(|| policy.pick(&picker.members, cx, random)));
        let endpoint = picked.ok().and_then(|index| picker.endpoints.get(index));
        endpoint.map_or(Pick::PolicyFailed, |endpoint| Pick::Endpoint(endpoint.lease()))
    }

    /// Whether a further attempt would find an endpoint that is not among `tried`.
    pub(crate) fn has_fit_but(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.picker.load().endpoints.iter().any(|endpoint| !is_among(tried, endpoint))
    }

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

    /// Notes what probes found, and publishes who gets work from now on.
    pub(super) fn set_fitness(&self, endpoint: &Endpoint, fitness: Fitness) {
        let _flip = self.flips.lock();
        endpoint.set_fitness(fitness);
        self.picker.store(Arc::new(Picker::new(&self.endpoints, &self.new_policy)));
        let is_settled = fitness == Fitness::Fit
            || self.endpoints.iter().all(|endpoint| endpoint.fitness() != Fitness::Checking);
        self.settled.send_if_modified(|settled| !std::mem::replace(settled, is_settled) && is_settled);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

impl Picker {
    fn new(endpoints: &[Arc<Endpoint>], new_policy: &PolicyFactory) -> Self {
        let is_fit = |endpoint: &&Arc<Endpoint>| endpoint.fitness() == Fitness::Fit;
        let endpoints: Vec<_> = endpoints.iter().filter(is_fit).cloned().collect();
        let members: Vec<_> = endpoints.iter().map(|endpoint| endpoint.member()).collect();
        // A user's factory may panic; what already runs must not end with it.
        let build = || (!members.is_empty()).then(|| new_policy(&members));
        let policy = catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|_| {
            log::error!("policy panicked while it was built members={}", members.len());
            None
        });
        Self { members, endpoints, policy }
    }

    fn least_loaded_but(&self, tried: &[Arc<Endpoint>], random: &mut Random) -> Option<&Arc<Endpoint>> {
        let members = self.members.iter().enumerate();
        let untried = members.filter(|(index, _)| !is_among(tried, &self.endpoints[*index]));
        least_loaded_of(untried, random).map(|index| &self.endpoints[index])
    }
}

fn is_among(tried: &[Arc<Endpoint>], endpoint: &Arc<Endpoint>) -> bool {
    tried.iter().any(|one| Arc::ptr_eq(one, endpoint))
}

/// The endpoints that a request was sent to in vain; few, so kept in place.
pub(crate) type Tried = SmallVec<[Arc<Endpoint>; 2]>;
