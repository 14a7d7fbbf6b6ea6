//! How a pool goes on when its configuration changes: what becomes of the endpoints that it had, and of new ones.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use tokio::time::Instant;

use super::endpoint::{Endpoint, State};
use super::generation::Generation;
use super::pool::Pool;
use super::roster::{Roster, first_standing};
use super::standing::{Health, Standing};

impl Pool {
    /// From now on this is how the pool is configured: for requests that begin, and for those that wait or try again,
    /// whatever configuration they began with. Until then a pool that was made with a predecessor stands behind it, and
    /// changes nothing; and if it never takes over, nothing has happened.
    ///
    /// Who takes over once the pool is current already finds nothing to do.
    pub(crate) fn take_over(&self, now: Instant) {
        self.change(&"the configuration changed", now, |roster| {
            if Arc::ptr_eq(&roster.generation, &self.generation) {
                return None;
            }
            let before = roster.succeed(&self.generation, &self.endpoints, now);
            self.lineage.settle(roster.is_settled());
            Some(before)
        });
        // Ejections may end otherwise than the one who waits for that knows.
        self.lineage.ejected.notify_one();
    }

    /// The endpoints whose first probes requests would have to wait for if the pool took over now, since no other is fit.
    pub(super) fn awaited(&self) -> Vec<&Arc<Endpoint>> {
        let gets_work = self.endpoints.iter().filter(|endpoint| endpoint.config().weight.get() > 0);
        let is = |wanted: State| move |endpoint: &&Arc<Endpoint>| endpoint.state() == wanted;
        match self.health().is_none() || gets_work.clone().any(|endpoint| is(State::Fit)(&endpoint)) {
            true => Vec::new(),
            false => gets_work.filter(is(State::Checking)).collect(),
        }
    }
}

impl Roster {
    /// Goes on with another generation, and gives back the endpoints of the one before.
    fn succeed(
        &mut self,
        generation: &Arc<Generation>,
        endpoints: &Arc<[Arc<Endpoint>]>,
        now: Instant,
    ) -> Arc<[Arc<Endpoint>]> {
        self.generation = generation.clone();
        let before = mem::replace(&mut self.endpoints, endpoints.clone());
        let mut known: HashMap<_, _> = before
            .iter()
            .zip(mem::take(&mut self.standings))
            .map(|(endpoint, standing)| (Arc::as_ptr(endpoint.record()), (endpoint, standing)))
            .collect();
        // Those that all come together start together.
        let is_joined = endpoints.iter().any(|endpoint| known.contains_key(&Arc::as_ptr(endpoint.record())));
        let mut come = Vec::new();
        for (index, endpoint) in endpoints.iter().enumerate() {
            let (standing, comes) = match known.remove(&Arc::as_ptr(endpoint.record())) {
                Some((before, standing)) => carried(standing, before, endpoint),
                None => joined(endpoint, is_joined),
            };
            self.standings.push(standing);
            endpoint.record().adopt(endpoint);
            if comes {
                endpoint.load().forget_latency();
                come.push(index);
            }
        }
        self.start_all_slowly(&come, now);
        known.into_values().for_each(|(removed, _)| removed.record().retire(now));
        before
    }
}

/// How an endpoint stands after its configuration changed, and whether it is fit only since then.
fn carried(mut standing: Standing, before: &Endpoint, after: &Endpoint) -> (Standing, bool) {
    let was_fit = standing.state() == State::Fit;
    let (record, weight) = (after.record(), after.config().weight);
    // What an operator set stays until the file says something else.
    if weight != before.config().weight {
        record.load().set_weight(weight);
        standing.set_drained(weight.get() == 0);
    }
    if before.pool().health.is_none() || after.pool().health.is_none() {
        // Nobody looks any more, or has not looked yet: then it stays fit until probes say otherwise.
        standing.set_health(Health::Fit);
        record.history.set([].into_iter());
    }
    if after.pool().outlier.is_none() {
        standing.forgive();
        record.load().end_trial();
        record.forget_failures();
    }
    let is_fit = standing.state() == State::Fit;
    (standing, is_fit && !was_fit)
}

/// How an endpoint stands whose address is new, and whether it gets work at once. If it joins others, it is to start
/// slowly.
fn joined(endpoint: &Endpoint, is_joined: bool) -> (Standing, bool) {
    let mut standing = first_standing(endpoint);
    if is_joined && standing.health() == Health::Checking {
        standing.set_newcomer();
    }
    let is_fit = standing.state() == State::Fit;
    (standing, is_fit && is_joined)
}
