use std::sync::Weak;

use crate::pools::testing::successor;

use super::*;

impl Stage {
    /// Goes on with another configuration; gives back the pool as it was before.
    fn reload(&mut self, endpoints: &[&str], keys: &str) -> Arc<Pool> {
        let next = successor(&self.pool, endpoints, keys, self.now);
        next.take_over(self.now);
        std::mem::replace(&mut self.pool, next)
    }

    fn place(&self, index: usize) -> Lease {
        self.endpoint(index).try_lease(self.now).unwrap()
    }

    fn warmths(&self) -> Vec<f64> {
        self.pool.endpoints().iter().map(|endpoint| endpoint.load().warmth(self.now)).collect()
    }
}

fn weight(text: &str) -> crate::types::Weight {
    text.parse().unwrap()
}

const PROBED: &str = ", health: { tcp: {} }";

#[test]
fn what_is_known_of_an_address_goes_with_it() {
    let mut stage = Stage::new(&THREE[..2], "");
    stage.answer(0);
    stage.fail(0, 1);
    let _place = stage.place(0);
    let before = stage.reload(&["10.0.0.9:80", THREE[1], THREE[0]], "");
    let (old, new) = (before.endpoints()[0].load(), stage.endpoint(2).load());
    assert_eq!((new.in_flight(), new.picks(), new.failures(), stage.pool.in_flight()), (1, 3, 1, 1));
    assert_eq!(new.latency(stage.now), old.latency(stage.now));
    assert_eq!(stage.endpoint(1).load().picks(), 0);
}

#[test]
fn nothing_changes_before_the_successor_takes_over() {
    let stage = Stage::new(THREE, "");
    let refused = successor(&stage.pool, &["{ address: '10.0.0.1:80', weight: 7 }"], PROBED, stage.now);
    drop(refused);
    assert_eq!((stage.states(), stage.endpoint(0).weight()), (vec!["fit"; 3], 1));
    assert!(stage.pool.endpoints().iter().all(|endpoint| endpoint.record().gets_work()));
    stage.pool.take_over(stage.now);
    assert_eq!(stage.warmths(), [1.0; 3]);
}

#[test]
fn a_request_of_an_older_configuration_picks_in_the_newest() {
    let mut stage = Stage::new(THREE, "");
    let before = stage.reload(&THREE[2..], "");
    let headers = HeaderMap::new();
    let cx = pick_cx(stage.now, &headers);
    for pinned in [None, Some(0), Some(2), Some(9)] {
        let Pick::Endpoint(lease) = before.pick(&cx, pinned, &mut stage.random) else { panic!("not served") };
        assert!(Arc::ptr_eq(lease.endpoint(), stage.endpoint(0)));
    }
    let tried = [before.endpoints()[2].clone()];
    stage.reload(&[THREE[2], THREE[1]], "");
    for _ in 0..10 {
        let lease = before.pick_another(&tried, stage.now, &mut stage.random).unwrap();
        assert!(Arc::ptr_eq(lease.endpoint(), stage.endpoint(1)));
    }
}

#[test]
fn requests_of_a_removed_address_finish_and_no_new_ones_come() {
    let mut stage = Stage::new(THREE, "");
    let place = stage.place(0);
    let removed = place.endpoint().clone();
    stage.reload(&THREE[1..], "");
    assert_eq!((removed.state().as_str(), stage.pool.in_flight()), ("draining", 1));
    assert_eq!(stage.shares().iter().sum::<usize>(), 1000);
    assert_eq!(removed.load().picks(), 1);
    stage.pool.failed(&place, Fault::UpstreamStatus, None, stage.now);
    drop(place);
    assert_eq!((removed.state().as_str(), stage.pool.in_flight()), ("drained", 0));
}

#[test]
fn what_an_operator_set_stays_until_the_file_says_something_else() {
    let mut stage = Stage::new(FOUR, "");
    stage.pool.set_weight(stage.endpoint(0), weight("5"), stage.now);
    stage.pool.set_drained(stage.endpoint(1), true, stage.now);
    stage.pool.set_weight(stage.endpoint(2), weight("0"), stage.now);
    stage.pool.set_drained(stage.endpoint(3), true, stage.now);
    stage.reload(FOUR, ", slow_start: 20s");
    let weights = |stage: &Stage| -> Vec<u16> {
        stage.pool.endpoints().iter().map(|endpoint| endpoint.weight()).collect()
    };
    assert_eq!(weights(&stage), [5, 1, 0, 1]);
    assert_eq!(stage.states(), ["fit", "drained", "drained", "drained"]);
    let changed = FOUR.map_weights(&[3, 1, 2, 0]);
    stage.reload(&changed.iter().map(String::as_str).collect::<Vec<_>>(), "");
    assert_eq!(weights(&stage), [3, 1, 2, 0]);
    assert_eq!(stage.states(), ["fit", "drained", "fit", "drained"]);
    assert_eq!(stage.warmths()[2], 0.1);
}

trait Weighted {
    fn map_weights(&self, weights: &[u16]) -> Vec<String>;
}

impl Weighted for [&str] {
    fn map_weights(&self, weights: &[u16]) -> Vec<String> {
        let pairs = self.iter().zip(weights);
        pairs.map(|(address, weight)| format!("{{ address: '{address}', weight: {weight} }}")).collect()
    }
}

#[test]
fn a_new_address_joins_slowly() {
    let mut stage = Stage::new(&THREE[..1], ", slow_start: 10s");
    stage.reload(&THREE[..2], ", slow_start: 10s");
    assert_eq!((stage.states(), stage.warmths()), (vec!["fit"; 2], vec![1.0, 0.1]));
    stage.pass(5);
    stage.reload(THREE, ", slow_start: 10s");
    assert_eq!(stage.warmths(), [1.0, 0.5, 0.1], "a slow start goes on");
    stage.reload(&["10.0.1.1:80", "10.0.1.2:80"], ", slow_start: 10s");
    assert_eq!(stage.warmths(), [1.0, 1.0], "nobody is there to carry the load meanwhile");
}

#[test]
fn a_new_address_waits_for_its_first_probe_and_then_starts_slowly() {
    let mut stage = Stage::new(&THREE[..1], PROBED);
    stage.set_health(0, Health::Fit);
    stage.reload(THREE, PROBED);
    assert_eq!(stage.states(), ["fit", "checking", "checking"]);
    assert!(stage.pool.is_settled());
    stage.set_health(1, Health::Fit);
    assert_eq!((stage.states(), stage.warmths()), (vec!["fit", "fit", "checking"], vec![1.0, 0.1, 1.0]));
    stage.reload(&["10.0.1.1:80", "10.0.1.2:80"], PROBED);
    assert!(!stage.pool.is_settled(), "requests wait for the first probes");
    (0..2).for_each(|index| stage.set_health(index, Health::Fit));
    assert_eq!((stage.pool.is_settled(), stage.warmths()), (true, vec![1.0, 1.0]));
}

#[test]
fn probes_that_begin_or_end_leave_everybody_fit() {
    let mut stage = Stage::new(&THREE[..2], "");
    stage.reload(&THREE[..2], PROBED);
    assert_eq!((stage.states(), stage.pool.is_settled()), (vec!["fit"; 2], true));
    stage.set_health(0, REFUSED);
    stage.reload(&THREE[..2], &format!("{PROBED}, timeouts: {{ connect: 2s }}"));
    assert_eq!(stage.states(), ["unfit", "fit"]);
    stage.reload(&THREE[..2], ", slow_start: 10s");
    assert_eq!((stage.states(), stage.warmths()), (vec!["fit"; 2], vec![0.1, 1.0]));
}

#[test]
fn failures_and_ejections_go_on_and_end_with_outlier_detection() {
    let mut stage = Stage::new(FOUR, "");
    stage.fail(0, 4);
    stage.reload(FOUR, ", slow_start: 1s");
    stage.fail(0, 1);
    assert_eq!(stage.state(0), "ejected");
    let ejection = stage.pool.ejections()[0].clone().unwrap();
    assert_eq!(&*ejection.why, "5 failures in a row");
    stage.reload(&[FOUR[1], FOUR[0], FOUR[2], FOUR[3]], "");
    assert_eq!((stage.state(1), stage.pool.ejections()[1].as_ref()), ("ejected", Some(&ejection)));
    stage.now = ejection.until;
    stage.pool.end_ejections(stage.now);
    stage.reload(FOUR, "");
    assert!(stage.endpoint(0).load().is_on_trial());
    stage.fail(1, 5);
    assert_eq!(stage.state(1), "ejected");
    stage.reload(FOUR, ", outlier: off");
    assert_eq!((stage.states(), stage.pool.end_ejections(stage.now)), (vec!["fit"; 4], None));
    assert!(!stage.endpoint(0).load().is_on_trial());
    stage.fail(1, 50);
    assert_eq!(stage.state(1), "fit");
}

#[test]
fn requests_of_an_older_configuration_are_judged_by_the_newest() {
    let mut stage = Stage::new(FOUR, ", outlier: off");
    let places: Vec<_> = (0..5).map(|_| stage.place(0)).collect();
    let before = stage.reload(&[FOUR[3], FOUR[2], FOUR[1], FOUR[0]], "");
    places.iter().for_each(|place| before.failed(place, Fault::UpstreamStatus, None, stage.now));
    assert_eq!(stage.states(), ["fit", "fit", "fit", "ejected"]);
    stage.now = stage.pool.end_ejections(stage.now).unwrap();
    assert_eq!(before.end_ejections(stage.now), None);
    let probe = stage.place(3);
    stage.reload(FOUR, "");
    stage.pool.answered(&probe, LATENCY, stage.now);
    (0..2).for_each(|_| stage.answer(0));
    assert!(!stage.endpoint(0).load().is_on_trial(), "a probe of the generation before counts");
}

#[test]
fn clients_find_their_endpoint_after_it_moved() {
    let sticky = ", sticky: { cookie: srv }";
    let mut stage = Stage::new(THREE, sticky);
    let cookie = |endpoint: &Endpoint| {
        let text = endpoint.set_cookie(crate::hooks::Scheme::Http).unwrap().to_str().unwrap();
        text.split(';').next().unwrap().to_owned()
    };
    let cookies: Vec<_> = stage.pool.endpoints().iter().map(|endpoint| cookie(endpoint)).collect();
    let before = stage.reload(&[THREE[2], "10.0.0.9:80", THREE[0]], sticky);
    let find = |pool: &Pool, cookie: &str| {
        let headers = [(http::header::COOKIE, cookie.parse().unwrap())].into_iter().collect();
        pool.sticky().unwrap().find(&headers)
    };
    let headers = HeaderMap::new();
    for (index, expected) in [(0, Some(2)), (1, None), (2, Some(0))] {
        assert_eq!(find(&stage.pool, &cookies[index]), expected);
        let cx = pick_cx(stage.now, &headers);
        // A request that began with the older configuration, and knows the older index.
        let Pick::Endpoint(lease) = before.pick(&cx, find(&before, &cookies[index]), &mut stage.random)
        else {
            panic!("not served")
        };
        assert_eq!(cookie(lease.endpoint()), cookie(stage.endpoint(lease.endpoint().index())));
        assert!(expected.is_none_or(|expected| cookies[index] == cookie(stage.endpoint(expected))));
        assert!(expected.is_none_or(|expected| lease.endpoint().index() == expected));
        assert_eq!(before.serves_its_own(index), expected.is_some());
    }
    stage.pool.set_drained(stage.endpoint(2), true, stage.now);
    assert!(before.serves_its_own(0) && stage.pool.serves_its_own(2));
}

#[test]
fn retries_count_over_generations() {
    let retry = ", retry: { budget: 20%, budget_min: 2 }";
    let mut stage = Stage::new(THREE, retry);
    let permits: Vec<_> = (0..2).map(|_| stage.pool.permit_retry().unwrap()).collect();
    let between = stage.pool.between_attempts();
    let before = stage.reload(&THREE[1..], retry);
    assert!(stage.pool.permit_retry().is_none() && before.permit_retry().is_none());
    assert_eq!((stage.pool.retries(), stage.pool.in_flight()), (2, 1));
    drop((permits, between));
    assert_eq!((stage.pool.retries(), stage.pool.in_flight()), (0, 0));
}

#[test]
fn an_old_request_keeps_no_generation_alive_but_its_own() {
    let mut stage = Stage::new(THREE, "");
    let place = stage.place(0);
    let first = Arc::downgrade(&stage.reload(THREE, ""));
    let between: Vec<Weak<_>> = (0..5).map(|_| Arc::downgrade(&stage.reload(THREE, "").generation)).collect();
    assert!(first.upgrade().is_none() && between.iter().all(|generation| generation.upgrade().is_none()));
    drop(place);
    assert_eq!(stage.pool.in_flight(), 0);
}

#[test]
fn an_older_configuration_can_come_back() {
    let mut stage = Stage::new(THREE, "");
    let place = stage.place(0);
    let before = stage.reload(&THREE[1..], "");
    before.take_over(stage.now);
    assert_eq!(
        before.endpoints().iter().map(|one| one.state()).collect::<Vec<_>>(),
        [crate::pools::State::Fit; 3]
    );
    assert_eq!(before.endpoints()[0].in_flight(), 1);
    drop(place);
    assert_eq!((before.endpoints()[0].in_flight(), before.in_flight()), (0, 0));
}
