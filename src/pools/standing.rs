use std::time::Duration;

use tokio::time::Instant;

use crate::config::spec::OutlierLimits;
use crate::types::{Random, jittered};

use super::endpoint::State;

/// All that decides about an endpoint's state: what its probes found, what its requests came to, and what an operator
/// asked for. A plain value; the pool keeps one for each endpoint under its lock.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    health: Health,
    is_drained: bool,
    ejected_until: Option<Instant>,
    /// How many ejections count against the endpoint: the next one lasts so many times longer.
    ejections: u32,
    /// When the last ejection ended.
    returned: Option<Instant>,
    /// How many successes the endpoint owes after an ejection.
    owed: u32,
}

/// What the probes of an endpoint say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nothing yet.
    Checking,
    /// It serves.
    Fit,
    /// It does not.
    Unfit {
        /// Whether it can be connected to at all.
        is_reachable: bool,
    },
}

/// So many requests of live traffic have to succeed before an endpoint that was ejected is trusted again.
const TRIAL: u32 = 3;

impl Standing {
    pub(super) fn new(health: Health) -> Self {
        Self { health, is_drained: false, ejected_until: None, ejections: 0, returned: None, owed: 0 }
    }

    /// The one state that all of it comes to. An operator's word goes first, then what probes say.
    pub(super) fn state(&self) -> State {
        match self.health {
            _ if self.is_drained => State::Draining,
            Health::Checking => State::Checking,
            Health::Unfit { .. } => State::Unfit,
            Health::Fit if self.ejected_until.is_some() => State::Ejected,
            Health::Fit => State::Fit,
        }
    }

    /// Whether it may be tried when too few endpoints are fit: anything but what cannot be connected to.
    pub(super) fn may_serve_in_panic(&self) -> bool {
        !self.is_drained && matches!(self.health, Health::Fit | Health::Unfit { is_reachable: true })
    }

    pub(super) fn health(&self) -> Health {
        self.health
    }

    pub(super) fn set_health(&mut self, health: Health) {
        self.health = health;
    }

    pub(super) fn is_drained(&self) -> bool {
        self.is_drained
    }

    pub(super) fn set_drained(&mut self, is_drained: bool) {
        self.is_drained = is_drained;
    }

    pub(super) fn ejected_until(&self) -> Option<Instant> {
        self.ejected_until
    }

    /// Begins an ejection and says how long it lasts: the base times the number of ejections in close succession, with
    /// a tenth of jitter, so that endpoints that fell together do not come back together. One ejection is forgotten
    /// for each base that passed well since the last one.
    pub(super) fn eject(&mut self, limits: &OutlierLimits, now: Instant, random: &mut Random) -> Duration {
        let (base, longest) = (limits.eject.get(), limits.max_eject.get());
        let passed = self.returned.map_or(Duration::ZERO, |returned| now.saturating_duration_since(returned));
        let forgiven = (passed.as_nanos() / base.as_nanos().max(1)).min(u128::from(u32::MAX)) as u32;
        self.ejections = self.ejections.saturating_sub(forgiven) + 1;
        let length = jittered(base.saturating_mul(self.ejections), random).min(longest);
        self.ejected_until = Some(now + length);
        self.owed = 0;
        length
    }

    /// Ends an ejection whose time is over, and begins the trial. Returns whether that was so.
    pub(super) fn return_to_trial(&mut self, now: Instant) -> bool {
        if self.ejected_until.is_none_or(|until| until > now) {
            return false;
        }
        self.ejected_until = None;
        self.returned = Some(now);
        self.owed = TRIAL;
        true
    }

    pub(super) fn is_on_trial(&self) -> bool {
        self.owed > 0
    }

    pub(super) fn end_trial(&mut self) {
        self.owed = 0;
    }

    /// Notes a success; returns whether it was the last that was owed.
    pub(super) fn pass_trial(&mut self) -> bool {
        let was_on_trial = self.is_on_trial();
        self.owed = self.owed.saturating_sub(1);
        was_on_trial && self.owed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> (Standing, OutlierLimits, Instant, Random) {
        (Standing::new(Health::Fit), OutlierLimits::default(), Instant::now(), Random::with_seed(1))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ejections_grow_to_their_limit_and_are_forgiven_with_time() {
        let (mut standing, limits, mut now, mut random) = standing();
        for n in 1..=40 {
            let length = standing.eject(&limits, now, &mut random).as_secs_f64();
            let plain = f64::from(n) * 10.0;
            assert!(
                (plain * 0.9).min(270.0) <= length && length <= (plain * 1.1).min(300.0),
                "{n}: {length}"
            );
            now += seconds(301);
            assert!(standing.return_to_trial(now));
        }
        now += seconds(10 * 39);
        assert!((18..=22).contains(&standing.eject(&limits, now, &mut random).as_secs()));
    }

    #[test]
    fn a_good_probe_does_not_end_an_ejection() {
        let (mut standing, limits, now, mut random) = standing();
        let length = standing.eject(&limits, now, &mut random);
        standing.set_health(Health::Fit);
        assert!(!standing.return_to_trial(now + length / 2));
        assert_eq!(standing.state(), State::Ejected);
        assert!(standing.return_to_trial(now + length));
        assert_eq!((standing.state(), standing.is_on_trial()), (State::Fit, true));
        assert_eq!([(); 3].map(|()| standing.pass_trial()), [false, false, true]);
        assert!(!standing.pass_trial());
    }

    #[test]
    fn an_operator_goes_before_probes_and_probes_before_ejections() {
        let (mut standing, limits, now, mut random) = standing();
        standing.eject(&limits, now, &mut random);
        standing.set_health(Health::Unfit { is_reachable: false });
        assert_eq!(standing.state(), State::Unfit);
        standing.set_drained(true);
        assert_eq!(standing.state(), State::Draining);
        assert!(!standing.may_serve_in_panic());
    }
}
