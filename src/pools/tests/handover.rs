use proptest::prelude::*;

use crate::hooks::LoadState;
use crate::pools::handover::{EndpointState, HealthState, ProbeState};
use crate::pools::health::ProbeResult;
use crate::pools::standing::{Ejection, EjectionState};
use crate::pools::{LONGEST_ORDER, PoolState};

use super::*;

const KEYS: &str = ", health: { tcp: {} }, slow_start: 30s";

/// What may happen to an endpoint.
#[derive(Clone, Debug)]
enum Event {
    Probe(usize, Health),
    Answer(usize, u64),
    Fail(usize, usize),
    Weigh(usize, u16),
    Drain(usize, bool),
    Order(usize, u64),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let health = prop_oneof![Just(Health::Fit), Just(REFUSED), Just(FAILING)];
    prop_oneof![
        4 => (0..4usize, health).prop_map(|(index, health)| Event::Probe(index, health)),
        4 => (0..4usize, 1..5000u64).prop_map(|(index, millis)| Event::Answer(index, millis)),
        4 => (0..4usize, 1..8usize).prop_map(|(index, times)| Event::Fail(index, times)),
        1 => (0..4usize, 0..=1000u16).prop_map(|(index, weight)| Event::Weigh(index, weight)),
        1 => (0..4usize, any::<bool>()).prop_map(|(index, is_drained)| Event::Drain(index, is_drained)),
        1 => (0..4usize, 1..100u64).prop_map(|(index, seconds)| Event::Order(index, seconds)),
        3 => (0..40u64).prop_map(Event::Pass),
    ]
}

impl Stage {
    fn play(&mut self, event: &Event) {
        match *event {
            Event::Probe(index, health) => {
                let endpoint = self.endpoint(index);
                let threshold = if health == Health::Fit { 2 } else { 3 };
                self.pool.note_probe(endpoint, (health, "told"), threshold, self.now);
                let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
                let (passed, took, reason) = (health == Health::Fit, LATENCY, format!("{health:?}"));
                endpoint.record().history.note(ProbeResult { at, passed, took, reason });
            }
            Event::Answer(index, millis) => {
                if let Some(lease) = self.endpoint(index).try_lease(self.now) {
                    self.pool.answered(&lease, Duration::from_millis(millis), self.now);
                    self.pool.succeeded(&lease, self.now);
                }
            }
            Event::Fail(index, times) => self.fail(index, times),
            Event::Weigh(index, weight) => {
                self.pool.set_weight(self.endpoint(index), weight.to_string().parse().unwrap(), self.now);
            }
            Event::Drain(index, is_drained) => {
                self.pool.set_drained(self.endpoint(index), is_drained, self.now);
            }
            Event::Order(index, seconds) => {
                self.pool.order_out(self.endpoint(index), self.now + Duration::from_secs(seconds), self.now);
            }
            Event::Pass(seconds) => {
                self.pass(seconds);
                self.pool.end_ejections(self.now);
            }
        }
    }
}

/// As it is after it went from one process to another.
fn sent(state: &PoolState) -> PoolState {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

fn imported(endpoints: &[&str], keys: &str, state: &PoolState, now: Instant) -> Stage {
    let stage = Stage { pool: pool(endpoints, keys, now), now, random: Random::with_seed(7) };
    stage.pool.import(state, now);
    stage
}

proptest! {
    #[test]
    fn another_process_goes_on_as_if_nothing_had_happened(events in prop::collection::vec(event(), 0..60)) {
        let mut old = Stage::new(FOUR, KEYS);
        events.iter().for_each(|event| old.play(event));
        let state = old.pool.export(old.now);
        let mut new = imported(FOUR, KEYS, &sent(&state), old.now);
        prop_assert_eq!(&new.pool.export(new.now), &state);
        prop_assert_eq!(new.states(), old.states());
        for seconds in [1, 9, 40] {
            [&mut old, &mut new].into_iter().for_each(|stage| stage.play(&Event::Pass(seconds)));
            prop_assert_eq!(new.states(), old.states());
            for (new_one, old_one) in new.pool.endpoints().iter().zip(old.pool.endpoints()) {
                prop_assert_eq!(new_one.load().is_on_trial(), old_one.load().is_on_trial());
                prop_assert_eq!(new_one.load().warmth(new.now), old_one.load().warmth(old.now));
            }
        }
    }

    #[test]
    fn no_state_brings_a_pool_to_nonsense(state in arbitrary_state()) {
        let stage = imported(FOUR, KEYS, &sent(&state), Instant::now());
        let latest = stage.now + LONGEST_ORDER;
        for (endpoint, ejection) in stage.pool.endpoints().iter().zip(stage.pool.ejections()) {
            let is_bounded = |ejection: Ejection| ejection.until <= latest && ejection.why.chars().count() <= 200;
            prop_assert!(endpoint.weight() <= 1000 && ejection.is_none_or(is_bounded));
            prop_assert!((0.1..=1.0).contains(&endpoint.load().warmth(stage.now)));
            prop_assert!(endpoint.load().latency(stage.now).is_none_or(|latency| (0.0..=300.0).contains(&latency)));
            prop_assert!(endpoint.load().picks().checked_mul(1000).is_some());
            prop_assert!(endpoint.probes().len() <= 10);
            for probe in endpoint.probes() {
                prop_assert!(probe.reason.chars().count() <= 200);
                prop_assert!(humantime::format_rfc3339_millis(probe.at).to_string().len() == 24);
            }
        }
        for index in 0..4 {
            stage.fail(index, 20);
            stage.answer(index);
        }
        stage.pool.end_ejections(stage.now + LONGEST_ORDER);
        prop_assert_eq!(stage.pool.in_flight(), 0);
    }
}

fn arbitrary_state() -> impl Strategy<Value = PoolState> {
    let number = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0..u64::from(u32::MAX)];
    let probe = (number(), any::<bool>(), number(), ".{0,300}")
        .prop_map(|(at_unix_ms, passed, took_ns, reason)| ProbeState { at_unix_ms, passed, took_ns, reason });
    let health = (any::<Option<bool>>(), any::<bool>(), any::<usize>())
        .prop_map(|(is_fit, is_reachable, against)| HealthState { is_fit, is_reachable, against });
    let ejection = (
        prop::option::of(number()),
        prop::option::of(".{0,300}"),
        any::<u32>(),
        prop::option::of(number()),
        any::<u32>(),
        prop::option::of(number()),
    )
        .prop_map(|(left_ns, why, ejections, returned_ns, owed, ordered_ns)| EjectionState {
            left_ns,
            why,
            ejections,
            returned_ns,
            owed,
            ordered_ns,
        });
    let load = (prop::option::of(number()), number(), prop::option::of(number()), number(), number())
        .prop_map(|(latency_ns, latency_age_ns, warming_for_ns, picks, failures)| LoadState {
            latency_ns,
            latency_age_ns,
            warming_for_ns,
            picks,
            failures,
        });
    let address = prop_oneof![4 => (0..4usize).prop_map(|index| FOUR[index].to_owned()), 1 => ".{0,20}"];
    let weights = (any::<u16>(), 0..3u16, any::<bool>());
    let rest = (prop::option::of(health), prop::collection::vec(probe, 0..15), ejection, any::<u32>(), load);
    let endpoint = (address, weights, rest, any::<bool>()).prop_map(|(address, weights, rest, chose_h2)| {
        let (weight, file_weight, is_drained) = weights;
        let (health, probes, ejection, failures_in_row, load) = rest;
        EndpointState {
            address,
            weight,
            file_weight,
            is_drained,
            health,
            probes,
            ejection,
            failures_in_row,
            load,
            chose_h2,
        }
    });
    prop::collection::vec(endpoint, 0..8).prop_map(|endpoints| PoolState { endpoints })
}

#[test]
fn what_another_version_does_not_tell_has_a_default() {
    let text = r#"{ "later": 1, "endpoints": [{ "address": "10.0.0.2:80", "colour": "red" }, {}] }"#;
    let stage =
        imported(&THREE[..2], ", health: { tcp: {} }", &serde_json::from_str(text).unwrap(), Instant::now());
    assert_eq!((stage.states(), stage.endpoint(1).weight()), (vec!["checking", "fit"], 1));
    assert!(stage.pool.is_settled());
    let nothing = imported(&THREE[..2], "", &serde_json::from_str("{}").unwrap(), Instant::now());
    assert_eq!(nothing.states(), ["fit"; 2]);
}

#[test]
fn another_configuration_takes_what_it_has_a_use_for() {
    let mut old = Stage::new(FOUR, ", health: { tcp: {} }");
    (0..4).for_each(|index| old.set_health(index, Health::Fit));
    old.fail(0, 5);
    old.set_health(1, REFUSED);
    old.pool.set_drained(old.endpoint(2), true, old.now);
    old.pool.set_weight(old.endpoint(3), "9".parse().unwrap(), old.now);
    old.pass(1);
    let state = old.pool.export(old.now);
    let new = imported(FOUR, ", outlier: off", &state, old.now);
    assert_eq!(new.states(), ["fit", "fit", "drained", "fit"]);
    assert_eq!((new.endpoint(3).weight(), new.endpoint(0).load().failures()), (9, 5));
    let endpoints = ["10.0.0.9:80", "{ address: '10.0.0.4:80', weight: 3 }", FOUR[0]];
    let new = imported(&endpoints, ", slow_start: 5s", &state, old.now);
    assert_eq!((new.states(), new.endpoint(1).weight()), (vec!["fit", "fit", "ejected"], 3));
    assert_eq!(new.endpoint(0).load().warmth(new.now), 0.1, "it joins the others");
}

#[test]
fn what_is_in_flight_stays_where_it_is() {
    let mut old = Stage::new(FOUR, "");
    let _places = [old.lease(), old.lease()];
    let new = imported(FOUR, "", &sent(&old.pool.export(old.now)), old.now);
    assert_eq!((new.pool.in_flight(), old.pool.in_flight()), (0, 2));
}
