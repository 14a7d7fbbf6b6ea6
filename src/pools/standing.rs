use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::spec::OutlierLimits;
use crate::types::{Random, jittered};

use super::endpoint::State;
use super::handover::LONGEST_REASON;
use super::health::Streak;

/// All that decides about an endpoint's state: what its probes found, what its requests came to, and what an operator
/// asked for. A plain value; the pool keeps one for each endpoint under its lock.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// What its probes found, and how many in a row found something else lately.
    streak: Streak,
    /// Whether it came to others that served already, and was never fit itself.
    is_newcomer: bool,
    is_drained: bool,
    ejection: Option<Ejection>,
    /// An ejection that an operator wants. What requests come to has no say in it, and it is no mark against the endpoint.
    order: Option<Ejection>,
    /// How many ejections count against the endpoint: the next one lasts so many times longer.
    ejections: u32,
    /// When the last ejection ended.
    returned: Option<Instant>,
    /// How many successes the endpoint owes after an ejection.
    owed: u32,
}

/// What keeps an endpoint out for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ejection {
    pub(crate) until: Instant,
    pub(crate) why: Arc<str>,
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

/// What another process needs to go on with ejections. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EjectionState {
    /// How much longer the present one lasts.
    pub(crate) left_ns: Option<u64>,
    /// Why it began.
    pub(crate) why: Option<String>,
    /// How many count against the endpoint.
    pub(crate) ejections: u32,
    /// How long ago the last one ended.
    pub(crate) returned_ns: Option<u64>,
    /// How many successes are owed since.
    pub(crate) owed: u32,
    /// How much longer an operator wants it left out.
    pub(crate) ordered_ns: Option<u64>,
}

/// So many requests of live traffic have to succeed before an endpoint that was ejected is trusted again.
const TRIAL: u32 = 3;
/// Operators leave an endpoint out for no longer: what is to stay out is drained.
pub(crate) const LONGEST_ORDER: Duration = Duration::from_secs(3600);

impl Standing {
    pub(super) fn new(health: Health) -> Self {
        Self {
            streak: Streak::of(health),
            is_newcomer: false,
            is_drained: false,
            ejection: None,
            order: None,
            ejections: 0,
            returned: None,
            owed: 0,
        }
    }

    /// The one state that all of it comes to. An operator's word goes first, then what probes say.
    pub(super) fn state(&self) -> State {
        match self.health() {
            _ if self.is_drained => State::Draining,
            Health::Checking => State::Checking,
            Health::Unfit { .. } => State::Unfit,
            Health::Fit if self.ejection().is_some() => State::Ejected,
            Health::Fit => State::Fit,
        }
    }

    /// Whether it may be tried when too few endpoints are fit: anything but what cannot be connected to.
    pub(super) fn may_serve_in_panic(&self) -> bool {
        !self.is_drained && matches!(self.health(), Health::Fit | Health::Unfit { is_reachable: true })
    }

    pub(super) fn health(&self) -> Health {
        self.streak.health()
    }

    pub(super) fn streak(&self) -> Streak {
        self.streak
    }

    /// Notes what one probe found; `threshold` results against the present health change it. Returns whether the endpoint
    /// comes back by it.
    pub(super) fn observe(&mut self, found: Health, threshold: usize) -> bool {
        let mut streak = self.streak;
        streak.observe(found, threshold);
        self.go_on(streak)
    }

    /// Notes what probes say from now on; returns whether the endpoint comes back by it.
    pub(super) fn set_health(&mut self, health: Health) -> bool {
        self.go_on(Streak::of(health))
    }

    /// Goes on from what probes found, here or in another process; returns whether the endpoint comes back by it. Those
    /// that are all new start together, and none of them comes back.
    pub(super) fn go_on(&mut self, streak: Streak) -> bool {
        let was_out = match self.health() {
            Health::Checking => self.is_newcomer,
            Health::Unfit { .. } => true,
            Health::Fit => false,
        };
        self.streak = streak;
        let is_fit = streak.health() == Health::Fit;
        self.is_newcomer &= !is_fit;
        was_out && is_fit
    }

    /// It comes to others that serve already.
    pub(super) fn set_newcomer(&mut self) {
        self.is_newcomer = true;
    }

    pub(super) fn is_drained(&self) -> bool {
        self.is_drained
    }

    pub(super) fn set_drained(&mut self, is_drained: bool) {
        self.is_drained = is_drained;
    }

    /// What keeps it out for longest.
    pub(super) fn ejection(&self) -> Option<&Ejection> {
        [&self.ejection, &self.order].into_iter().flatten().max_by_key(|ejection| ejection.until)
    }

    pub(super) fn ejected_until(&self) -> Option<Instant> {
        self.ejection().map(|ejection| ejection.until)
    }

    pub(super) fn ordered_until(&self) -> Option<Instant> {
        self.order.as_ref().map(|order| order.until)
    }

    /// When the next of its ejections ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        [&self.ejection, &self.order].into_iter().flatten().map(|ejection| ejection.until).min()
    }

    /// Leaves it out until then because an operator says so, in the place of what was said before.
    pub(super) fn order_out(&mut self, until: Instant) {
        self.order = Some(Ejection { until, why: "an operator has said so".into() });
    }

    /// Ends what an operator has said, if its time is over; without a time, in any case. Returns whether there was anything.
    pub(super) fn end_order(&mut self, now: Option<Instant>) -> bool {
        self.order.take_if(|order| now.is_none_or(|now| order.until <= now)).is_some()
    }

    /// Begins an ejection and says how long it lasts: the base times the number of ejections in close succession, with
    /// a tenth of jitter, so that endpoints that fell together do not come back together. One ejection is forgotten
    /// for each base that passed well since the last one.
    pub(super) fn eject(
        &mut self,
        limits: &OutlierLimits,
        why: impl Into<Arc<str>>,
        now: Instant,
        random: &mut Random,
    ) -> Duration {
        let (base, longest) = (limits.eject.get(), limits.max_eject.get());
        let passed = self.returned.map_or(Duration::ZERO, |returned| now.saturating_duration_since(returned));
        let forgiven = (passed.as_nanos() / base.as_nanos().max(1)).min(u128::from(u32::MAX)) as u32;
        self.ejections = self.ejections.saturating_sub(forgiven) + 1;
        let length = jittered(base.saturating_mul(self.ejections), random).min(longest);
        self.ejection = Some(Ejection { until: now + length, why: why.into() });
        self.owed = 0;
        length
    }

    /// Ends an ejection whose time is over, and begins the trial. Returns whether that was so.
    pub(super) fn return_to_trial(&mut self, now: Instant) -> bool {
        if self.ejection.take_if(|ejection| ejection.until <= now).is_none() {
            return false;
        }
        self.returned = Some(now);
        self.owed = TRIAL;
        true
    }

    /// Ends ejection and trial, and forgets all that led to them.
    pub(super) fn forgive(&mut self) {
        (self.ejection, self.ejections, self.returned, self.owed) = (None, 0, None, 0);
    }

    pub(super) fn export(&self, now: Instant) -> EjectionState {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let left = |ejection: &Ejection| nanos(ejection.until.saturating_duration_since(now));
        EjectionState {
            left_ns: self.ejection.as_ref().map(left),
            why: self.ejection.as_ref().map(|ejection| ejection.why.to_string()),
            ejections: self.ejections,
            returned_ns: self.returned.map(|returned| nanos(now.saturating_duration_since(returned))),
            owed: self.owed,
            ordered_ns: self.order.as_ref().map(left),
        }
    }

    /// Goes on with what an operator has told another process.
    pub(super) fn import_order(&mut self, state: &EjectionState, now: Instant) {
        if let Some(left) = state.ordered_ns.map(Duration::from_nanos) {
            self.order_out(now + left.min(LONGEST_ORDER));
        }
    }

    /// Goes on with what another process knew of ejections, within the present limits.
    pub(super) fn import(&mut self, state: &EjectionState, limits: &OutlierLimits, now: Instant) {
        // More make no ejection longer.
        let most = limits.max_eject.get().as_nanos() / limits.eject.get().as_nanos().max(1) + 1;
        self.ejections = state.ejections.min(u32::try_from(most).unwrap_or(u32::MAX));
        self.returned = state.returned_ns.map(Duration::from_nanos).and_then(|ago| now.checked_sub(ago));
        let left = state.left_ns.map(Duration::from_nanos);
        let why = state.why.as_deref().unwrap_or("another process ejected it");
        self.ejection = left.map(|left| Ejection {
            until: now + left.min(limits.max_eject.get()),
            why: why.chars().take(LONGEST_REASON).collect::<String>().into(),
        });
        self.owed = if left.is_some() { 0 } else { state.owed.min(TRIAL) };
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
            let length = standing.eject(&limits, "5 failures in a row", now, &mut random).as_secs_f64();
            let plain = f64::from(n) * 10.0;
            assert!(
                (plain * 0.9).min(270.0) <= length && length <= (plain * 1.1).min(300.0),
                "{n}: {length}"
            );
            now += seconds(301);
            assert!(standing.return_to_trial(now));
        }
        now += seconds(10 * 39);
        assert!(
            (18..=22).contains(&standing.eject(&limits, "5 failures in a row", now, &mut random).as_secs())
        );
    }

    #[test]
    fn a_good_probe_does_not_end_an_ejection() {
        let (mut standing, limits, now, mut random) = standing();
        let length = standing.eject(&limits, "5 failures in a row", now, &mut random);
        standing.set_health(Health::Fit);
        assert!(!standing.return_to_trial(now + length / 2));
        assert_eq!(standing.state(), State::Ejected);
        assert!(standing.return_to_trial(now + length));
        assert_eq!((standing.state(), standing.is_on_trial()), (State::Fit, true));
        assert_eq!([(); 3].map(|()| standing.pass_trial()), [false, false, true]);
        assert!(!standing.pass_trial());
    }

    #[test]
    fn what_an_operator_wants_left_out_is_left_out_for_that_time_and_counts_for_nothing() {
        let (mut standing, limits, now, mut random) = standing();
        standing.order_out(now + seconds(60));
        assert_eq!((standing.state(), standing.may_serve_in_panic()), (State::Ejected, true));
        let length = standing.eject(&limits, "5 failures in a row", now, &mut random);
        assert!(length < seconds(12), "it is the first ejection: {length:?}");
        assert!(!standing.end_order(Some(now + seconds(59))) && standing.return_to_trial(now + seconds(59)));
        assert_eq!((standing.state(), standing.next_end()), (State::Ejected, Some(now + seconds(60))));
        standing.forgive();
        assert!(standing.end_order(Some(now + seconds(60))) && !standing.end_order(None));
        assert_eq!((standing.state(), standing.is_on_trial()), (State::Fit, false));
    }

    #[test]
    fn another_process_goes_on_with_what_an_operator_has_said() {
        let (mut standing, _, now, _) = standing();
        standing.order_out(now + seconds(60));
        let mut other = Standing::new(Health::Fit);
        other.import_order(&standing.export(now + seconds(20)), now);
        assert_eq!(other.ejected_until(), Some(now + seconds(40)));
        let endless = EjectionState { ordered_ns: Some(u64::MAX), ..EjectionState::default() };
        other.import_order(&endless, now);
        assert_eq!(other.ejected_until(), Some(now + LONGEST_ORDER));
    }

    #[test]
    fn an_operator_goes_before_probes_and_probes_before_ejections() {
        let (mut standing, limits, now, mut random) = standing();
        standing.eject(&limits, "5 failures in a row", now, &mut random);
        standing.set_health(Health::Unfit { is_reachable: false });
        assert_eq!(standing.state(), State::Unfit);
        standing.set_drained(true);
        assert_eq!(standing.state(), State::Draining);
        assert!(!standing.may_serve_in_panic());
    }
}
