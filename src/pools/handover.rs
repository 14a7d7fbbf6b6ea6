//! What a process tells another that goes on in its place: plain values, with times counted from now.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config;
use crate::hooks::LoadState;
use crate::types::Weight;

use super::endpoint::{Endpoint, State};
use super::health::{ProbeResult, Streak};
use super::pool::Pool;
use super::roster::Roster;
use super::standing::{EjectionState, Health, Standing};

/// What is known of a pool. Another version may have written it, so that whatever is missing has a default, and nothing
/// of it is taken on trust. What is in flight is no part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PoolState {
    pub(crate) endpoints: Vec<EndpointState>,
}

/// What is known of an endpoint. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EndpointState {
    pub(crate) address: String,
    /// The weight by which it is served, and the one in the file; they differ after an operator has set one.
    pub(crate) weight: u16,
    pub(crate) file_weight: u16,
    pub(crate) is_drained: bool,
    /// What its probes say, where there are any.
    pub(crate) health: Option<HealthState>,
    /// The last probes, the oldest first.
    pub(crate) probes: Vec<ProbeState>,
    pub(crate) ejection: EjectionState,
    pub(crate) failures_in_row: u32,
    pub(crate) load: LoadState,
    pub(crate) chose_h2: bool,
}

/// What probes say of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HealthState {
    /// None before the first probe has ended.
    pub(crate) is_fit: Option<bool>,
    pub(crate) is_reachable: bool,
    /// How many probes in a row spoke against that.
    pub(crate) against: usize,
}

/// What one probe found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ProbeState {
    /// When it ended, in milliseconds since 1970.
    pub(crate) at_unix_ms: u64,
    pub(crate) passed: bool,
    pub(crate) took_ns: u64,
    pub(crate) reason: String,
}

/// The last moment that can be written as a date of four digits, in milliseconds since 1970.
const LAST_DATE: u64 = 253_402_300_799_999;
/// More failures in a row say no more of an endpoint.
const MOST_IN_ROW: u32 = 1 << 20;
/// So many characters of the reason of a probe or an ejection are taken over.
pub(super) const LONGEST_REASON: usize = 200;

// === Pool ===

impl PoolState {
    /// Whether probes found any endpoint fit.
    pub(crate) fn has_fit_endpoint(&self) -> bool {
        let mut found = self.endpoints.iter().filter_map(|endpoint| endpoint.health.as_ref());
        found.any(|health| health.is_fit == Some(true))
    }
}

impl Pool {
    /// Whether all endpoints were probed, and none was found fit.
    pub(crate) fn finds_nobody(&self) -> bool {
        let roster = self.lineage.roster.lock();
        let is_unfit = |standing: &Standing| matches!(standing.health(), Health::Unfit { .. });
        self.health().is_some() && roster.standings.iter().all(is_unfit)
    }

    /// What another process needs to go on with the pool.
    pub(crate) fn export(&self, now: Instant) -> PoolState {
        let roster = self.lineage.roster.lock();
        let endpoints = roster.endpoints.iter().zip(&roster.standings);
        PoolState {
            endpoints: endpoints.map(|(endpoint, standing)| export(endpoint, standing, now)).collect(),
        }
    }

    /// Goes on with what another process knew of the pool, before this one serves anybody. Addresses that this pool does
    /// not have are passed over, and so is what its configuration has no use for.
    pub(crate) fn import(&self, state: &PoolState, now: Instant) {
        let known = state.endpoints.iter().rev();
        let known: HashMap<_, _> = known.map(|endpoint| (endpoint.address.as_str(), endpoint)).collect();
        self.change(&"the process before this one knew so", now, |roster| {
            roster.import(&known, now);
            Some(())
        });
    }
}

impl Roster {
    fn import(&mut self, known: &HashMap<&str, &EndpointState>, now: Instant) {
        let found: Vec<_> = self
            .endpoints
            .iter()
            .map(|endpoint| known.get(endpoint.address().to_string().as_str()).copied())
            .collect();
        let is_joined = found.iter().any(Option::is_some);
        let mut come = Vec::new();
        for (index, state) in found.into_iter().enumerate() {
            let (endpoint, standing) = (&self.endpoints[index], &mut self.standings[index]);
            match state {
                Some(state) => import(endpoint, standing, state, now),
                None if is_joined && standing.state() == State::Fit => come.push(index),
                None if is_joined => standing.set_newcomer(),
                None => {}
            }
        }
        self.start_all_slowly(&come, now);
    }
}

// === Endpoints ===

fn export(endpoint: &Endpoint, standing: &Standing, now: Instant) -> EndpointState {
    let record = endpoint.record();
    EndpointState {
        address: endpoint.address().to_string(),
        weight: endpoint.weight(),
        file_weight: endpoint.config().weight.get(),
        is_drained: standing.is_drained(),
        health: endpoint.pool().health.as_ref().map(|_| standing.streak().into()),
        probes: record.history.snapshot().into_iter().map(ProbeState::from).collect(),
        ejection: standing.export(now),
        failures_in_row: record.failures_in_row.load(Ordering::Relaxed),
        load: endpoint.load().export(now),
        chose_h2: record.chose_h2(),
    }
}

fn import(endpoint: &Endpoint, standing: &mut Standing, state: &EndpointState, now: Instant) {
    let (record, pool, load) = (endpoint.record(), endpoint.pool(), endpoint.load());
    // What an operator set stays until the file says something else.
    if state.file_weight == endpoint.config().weight.get()
        && let Ok(weight) = state.weight.to_string().parse::<Weight>()
    {
        load.set_weight(weight);
        standing.set_drained(state.is_drained || weight.get() == 0);
    }
    if let Some(health) = &pool.health {
        // One that nobody has probed yet stays fit until probes say otherwise.
        let streak = state.health.as_ref().map(|found| found.streak(health));
        let mut streak = streak.unwrap_or(Streak::of(Health::Fit));
        // What probes of this process have found is one more result.
        match standing.health() {
            Health::Checking => {}
            Health::Fit => streak.observe(Health::Fit, usize::from(health.rise)),
            unfit @ Health::Unfit { .. } => streak.observe(unfit, usize::from(health.fall)),
        }
        standing.go_on(streak);
        let own = record.history.snapshot();
        let probes: Vec<_> = state.probes.iter().map(ProbeState::result).chain(own).collect();
        record.history.set(probes.into_iter());
    }
    load.import(&state.load, now);
    standing.import_order(&state.ejection, now);
    record.stats.picks.go_on_from(load.picks());
    if let Some(limits) = &pool.outlier {
        standing.import(&state.ejection, limits, now);
        record.failures_in_row.store(state.failures_in_row.min(MOST_IN_ROW), Ordering::Relaxed);
        if standing.is_on_trial() {
            load.begin_trial();
        }
    }
    record.note_choice(state.chose_h2);
}

impl From<Streak> for HealthState {
    fn from(streak: Streak) -> Self {
        let (is_fit, is_reachable) = match streak.health() {
            Health::Checking => (None, true),
            Health::Fit => (Some(true), true),
            Health::Unfit { is_reachable } => (Some(false), is_reachable),
        };
        Self { is_fit, is_reachable, against: streak.against() }
    }
}

impl HealthState {
    /// The same for probes of this configuration, whose next one is to decide at the soonest.
    fn streak(&self, config: &config::Health) -> Streak {
        let (health, threshold) = match self.is_fit {
            None => (Health::Checking, 1),
            Some(true) => (Health::Fit, config.fall),
            Some(false) => (Health::Unfit { is_reachable: self.is_reachable }, config.rise),
        };
        let most = usize::from(threshold).saturating_sub(1);
        Streak::with_against(health, self.against.min(most))
    }
}

impl From<ProbeResult> for ProbeState {
    fn from(result: ProbeResult) -> Self {
        let ProbeResult { at, passed, took, reason } = result;
        let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let number = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        Self { at_unix_ms: number(at.as_millis()), passed, took_ns: number(took.as_nanos()), reason }
    }
}

impl ProbeState {
    fn result(&self) -> ProbeResult {
        ProbeResult {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(self.at_unix_ms.min(LAST_DATE)),
            passed: self.passed,
            took: Duration::from_nanos(self.took_ns),
            reason: self.reason.chars().take(LONGEST_REASON).collect(),
        }
    }
}
