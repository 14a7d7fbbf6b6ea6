use std::sync::Arc;

use tokio::time::Instant;

use crate::types::{Random, Weight};

use super::endpoint::{Endpoint, State};
use super::generation::Generation;
use super::health::Streak;
use super::journal::Noting;
use super::picker::Picker;
use super::standing::{Health, Standing};

/// What decides about who gets work: the generation that is current, and how its endpoints stand.
pub(super) struct Roster {
    pub(super) generation: Arc<Generation>,
    pub(super) endpoints: Arc<[Arc<Endpoint>]>,
    /// By the endpoints' index.
    pub(super) standings: Vec<Standing>,
    /// For the jitter of ejections and for policies that begin somewhere.
    pub(super) random: Random,
}

impl Roster {
    /// Endpoints of which nothing is known. All are fit at once, or all checking when they are probed.
    pub(super) fn new(generation: Arc<Generation>, endpoints: Arc<[Arc<Endpoint>]>, random: Random) -> Self {
        let standings = endpoints.iter().map(|endpoint| first_standing(endpoint)).collect();
        Self { generation, endpoints, standings, random }
    }

    /// Where the endpoint stands, of whichever generation it is; `None` if its address was removed.
    pub(super) fn index_of(&self, endpoint: &Endpoint) -> Option<usize> {
        let is_here = |index: &usize| self.endpoints.get(*index).is_some_and(|one| one.is_same(endpoint));
        let index = Some(endpoint.index()).filter(is_here);
        index.or_else(|| self.endpoints.iter().position(|one| one.is_same(endpoint)))
    }

    pub(super) fn standing_of(&self, endpoint: &Endpoint) -> Option<&Standing> {
        self.index_of(endpoint).map(|index| &self.standings[index])
    }

    /// Whether an endpoint is fit, or none waits for its first probe any more.
    pub(super) fn is_settled(&self) -> bool {
        let is = |wanted| self.standings.iter().any(|standing| standing.state() == wanted);
        is(State::Fit) || !is(State::Checking)
    }

    /// Who gets work as things stand, after everybody was told the own state.
    pub(super) fn publish(&mut self, before: Option<&Picker>, noting: &Noting<'_>) -> Picker {
        for (endpoint, standing) in self.endpoints.iter().zip(&self.standings) {
            noting.publish(endpoint, standing.state());
        }
        let picker =
            Picker::new(&self.generation, &self.endpoints, &self.standings, before, &mut self.random);
        let was_panic = before.is_some_and(|before| before.is_panic);
        noting.panic(&self.generation.config.name, was_panic, picker.is_panic);
        picker
    }

    // === Health ===

    pub(super) fn set_health(&mut self, index: usize, health: Health, now: Instant) {
        if self.standings[index].set_health(health) {
            self.welcome_back(index, now);
        }
    }

    /// Notes what one probe found, and returns what all of them say by then.
    pub(super) fn observe(&mut self, index: usize, found: Health, threshold: usize, now: Instant) -> Streak {
        if self.standings[index].observe(found, threshold) {
            self.welcome_back(index, now);
        }
        self.standings[index].streak()
    }

    // === Operators ===

    pub(super) fn set_drained(&mut self, index: usize, is_drained: bool, now: Instant) {
        let load = self.endpoints[index].load();
        if !is_drained && load.weight() == 0 {
            load.set_weight(Weight::default());
        }
        if !is_drained && self.standings[index].end_order(None) {
            self.welcome_back(index, now);
        }
        self.drain(index, is_drained, now);
    }

    /// Leaves endpoints out no longer for which an operator's time is over, and says which those are.
    pub(super) fn end_orders(&mut self, now: Instant) -> Vec<Arc<Endpoint>> {
        let standings = self.standings.iter_mut().enumerate();
        let ended = standings.filter_map(|(index, standing)| standing.end_order(Some(now)).then_some(index));
        let ended: Vec<usize> = ended.collect();
        ended.iter().for_each(|&index| self.welcome_back(index, now));
        ended.into_iter().map(|index| self.endpoints[index].clone()).collect()
    }

    pub(super) fn set_weight(&mut self, index: usize, weight: Weight, now: Instant) {
        self.endpoints[index].load().set_weight(weight);
        self.drain(index, weight.get() == 0, now);
    }

    fn drain(&mut self, index: usize, is_drained: bool, now: Instant) {
        let standing = &mut self.standings[index];
        let comes_back = standing.is_drained() && !is_drained;
        standing.set_drained(is_drained);
        if comes_back {
            self.welcome_back(index, now);
        }
    }

    // === Those that come back ===

    /// An endpoint that comes back begins as one that nobody knows, and slowly.
    fn welcome_back(&self, index: usize, now: Instant) {
        self.endpoints[index].load().forget_latency();
        self.start_slowly(index, now);
    }

    /// Begins a slow start, if others carry the load meanwhile.
    pub(super) fn start_slowly(&self, index: usize, now: Instant) {
        self.start_all_slowly(&[index], now);
    }

    /// The same for all of these, which are in ascending order: they carry no load for each other.
    pub(super) fn start_all_slowly(&self, indexes: &[usize], now: Instant) {
        let is_other = |index: &usize| indexes.binary_search(index).is_err();
        let mut others = (0..self.standings.len()).filter(is_other);
        let is_carried = others.any(|other| self.standings[other].state() == State::Fit);
        for &index in indexes {
            let load = self.endpoints[index].load();
            if is_carried { load.warm_up(now) } else { load.stop_warming() }
        }
    }

    /// One request at a time is no way to serve a pool: where nobody else is fit, trials are over.
    pub(super) fn trust_the_last(&mut self) {
        let is_trusted = |standing: &Standing| standing.state() == State::Fit && !standing.is_on_trial();
        if self.standings.iter().any(is_trusted) {
            return;
        }
        for (endpoint, standing) in self.endpoints.iter().zip(&mut self.standings) {
            if standing.is_on_trial() {
                standing.end_trial();
                endpoint.load().end_trial();
            }
        }
    }
}

/// How an endpoint begins of which nothing is known but what probes may have found ahead.
pub(super) fn first_standing(endpoint: &Endpoint) -> Standing {
    let health = if endpoint.pool().health.is_some() { endpoint.record().found_ahead() } else { Health::Fit };
    let mut standing = Standing::new(health);
    standing.set_drained(endpoint.config().weight.get() == 0);
    standing
}
