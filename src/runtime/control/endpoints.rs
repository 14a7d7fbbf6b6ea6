//! What operators do to endpoints.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::pools::{Endpoint, LONGEST_ORDER, Pool, State};
use crate::runtime::{Actor, Deed, What};
use crate::types::{Span, Weight};

use super::{Control, ControlError, Target, WeightChange, find_endpoint, find_pool};

/// An endpoint that an operator took out, to be watched while it finishes its work.
#[derive(Debug)]
pub(crate) struct Drain {
    endpoint: Arc<Endpoint>,
}

/// For how long an operator leaves an endpoint out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Span", into = "Span")]
pub(crate) struct EjectionTime(Span);

/// A time that is none to leave an endpoint out for.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no time to leave an endpoint out for; give 1s to 1h, and drain what is to stay out")]
pub(crate) struct InvalidEjectionTime(String);

/// What operators may change of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    weight: u16,
    is_drained: bool,
    /// What outlier detection has begun is no operator's to change.
    ejected_until: Option<Instant>,
    now: Instant,
}

impl Control {
    /// Takes an endpoint out: it gets no new work and finishes the old.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub(crate) fn drain(&self, target: &Target, by: &Actor, now: Instant) -> Result<Drain, ControlError> {
        let drain = |pool: &Pool, endpoint: &Endpoint| pool.set_drained(endpoint, true, now);
        let (endpoint, _) = self.change(target, What::Drain, by, now, drain)?;
        Ok(Drain { endpoint })
    }

    /// Takes an endpoint in again, whichever operator took it out, and however; tells its state then.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub(crate) fn undo_drain(
        &self,
        target: &Target,
        by: &Actor,
        now: Instant,
    ) -> Result<State, ControlError> {
        let take_in = |pool: &Pool, endpoint: &Endpoint| pool.set_drained(endpoint, false, now);
        let (endpoint, _) = self.change(target, What::Undrain, by, now, take_in)?;
        Ok(endpoint.state())
    }

    /// Leaves an endpoint out for some time, in the place of what was said before; tells its state then. Other than one in
    /// drain it comes back by itself, it serves no clients that stick to it, and it may serve in panic.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub(crate) fn eject(
        &self,
        target: &Target,
        time: EjectionTime,
        by: &Actor,
        now: Instant,
    ) -> Result<State, ControlError> {
        let eject = |pool: &Pool, endpoint: &Endpoint| pool.order_out(endpoint, now + time.get(), now);
        let (endpoint, _) = self.change(target, What::Eject, by, now, eject)?;
        Ok(endpoint.state())
    }

    /// Changes an endpoint's share, or a pool's of a split. A weight of 0 drains an endpoint, and any other ends a drain.
    ///
    /// # Errors
    /// When there is no such endpoint and no such pool, or the pool has to keep its weight.
    pub(crate) fn set_weight(
        &self,
        target: &Target,
        weight: Weight,
        by: &Actor,
        now: Instant,
    ) -> Result<WeightChange, ControlError> {
        if self.is_side(target) {
            return self.set_side_weight(target, weight, by, now);
        }
        self.set_endpoint_weight(target, weight, by, now)
    }

    /// The same for an endpoint.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub(crate) fn set_endpoint_weight(
        &self,
        target: &Target,
        weight: Weight,
        by: &Actor,
        now: Instant,
    ) -> Result<WeightChange, ControlError> {
        let weigh = |pool: &Pool, endpoint: &Endpoint| pool.set_weight(endpoint, weight, now);
        Ok(self.change(target, What::Weight, by, now, weigh)?.1)
    }

    /// Makes a change and tells what came of it.
    fn change(
        &self,
        target: &Target,
        what: What,
        by: &Actor,
        now: Instant,
        change: impl FnOnce(&Pool, &Endpoint),
    ) -> Result<(Arc<Endpoint>, WeightChange), ControlError> {
        let _alone = self.live.alone();
        let (pool, endpoint) = self.audited(self.find(target), what, target, by, now)?;
        let before = Setting::of(&pool, &endpoint, now);
        change(&pool, &endpoint);
        let after = Setting::of(&pool, &endpoint, now);
        tell(&pool, &endpoint, before, after);
        let deed = Deed::done(what, before != after).to(target).from(before).until(after);
        self.changes.audit().record(by, deed, now);
        Ok((endpoint, WeightChange { from: before.weight, to: after.weight }))
    }

    fn find(&self, target: &Target) -> Result<(Arc<Pool>, Arc<Endpoint>), ControlError> {
        let snapshot = self.live.snapshot();
        let pool = find_pool(&snapshot.pools, &target.pool)?;
        Ok((pool.clone(), find_endpoint(pool, &target.endpoint)?.clone()))
    }
}

fn tell(pool: &Pool, endpoint: &Endpoint, before: Setting, after: Setting) {
    let (pool, address) = (pool.name(), endpoint.address());
    let (from, to) = (before.weight, after.weight);
    if from != to {
        log::info!("endpoint is weighted by an operator pool={pool} endpoint={address} from={from} to={to}");
    }
    match (before.is_drained, after.is_drained) {
        (false, true) => log::info!("endpoint is drained by an operator pool={pool} endpoint={address}"),
        (true, false) => {
            log::info!("endpoint is taken in again by an operator pool={pool} endpoint={address}")
        }
        _ => {}
    }
    match (before.ejected_until, after.ejected_until) {
        (before, Some(until)) if before != after.ejected_until => {
            let length = Span::from_secs(after.left(until).as_secs());
            log::info!("endpoint is left out by an operator pool={pool} endpoint={address} for={length}");
        }
        (Some(_), None) => {
            log::info!("endpoint is left out by an operator no more pool={pool} endpoint={address}");
        }
        _ => {}
    }
}

// === Setting ===

impl Setting {
    fn of(pool: &Pool, endpoint: &Endpoint, now: Instant) -> Self {
        Self {
            weight: endpoint.weight(),
            is_drained: endpoint.state().is_in_drain(),
            ejected_until: pool.ordered_out_until(endpoint),
            now,
        }
    }

    fn left(&self, until: Instant) -> Duration {
        until.saturating_duration_since(self.now)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weight {}", self.weight)?;
        if self.is_drained {
            f.write_str(", in drain")?;
        }
        match self.ejected_until {
            Some(until) => write!(f, ", ejected for {}", Span::from_secs(self.left(until).as_secs())),
            None => Ok(()),
        }
    }
}

// === Drain ===

impl Drain {
    /// Draining, drained, or something else once the drain was undone.
    pub(crate) fn state(&self) -> State {
        self.endpoint.state()
    }

    /// Requests that it has yet to finish.
    pub(crate) fn in_flight(&self) -> u32 {
        self.endpoint.in_flight()
    }
}

// === EjectionTime ===

impl EjectionTime {
    fn get(self) -> Duration {
        self.0.get()
    }
}

impl TryFrom<Span> for EjectionTime {
    type Error = InvalidEjectionTime;

    fn try_from(time: Span) -> Result<Self, InvalidEjectionTime> {
        match (Duration::from_secs(1)..=LONGEST_ORDER).contains(&time.get()) {
            true => Ok(Self(time)),
            false => Err(InvalidEjectionTime(time.to_string())),
        }
    }
}

impl From<EjectionTime> for Span {
    fn from(time: EjectionTime) -> Self {
        time.0
    }
}

impl FromStr for EjectionTime {
    type Err = InvalidEjectionTime;

    fn from_str(text: &str) -> Result<Self, InvalidEjectionTime> {
        text.parse::<Span>().map_err(|_| InvalidEjectionTime(text.to_owned()))?.try_into()
    }
}

impl fmt::Display for EjectionTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
