use crate::pools::testing::{pool_config_with, pool_of};

use super::*;

#[test]
fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let mut stage = Stage::new(FOUR, "");
    stage.fail(0, 4);
    stage.answer(0);
    stage.fail(0, 4);
    assert_eq!(stage.state(0), "fit");
    stage.fail(0, 1);
    assert_eq!(stage.state(0), "ejected");
    assert_eq!(stage.shares()[0], 0);
}

#[test]
fn a_share_of_failures_ejects_once_there_are_enough_requests() {
    let stage = Stage::new(FOUR, "");
    for _ in 0..9 {
        stage.answer(0);
        stage.fail(0, 1);
    }
    assert_eq!(stage.state(0), "fit");
    stage.answer(0);
    stage.fail(0, 1);
    assert_eq!(stage.state(0), "ejected");
}

#[test]
fn failures_that_are_long_past_count_no_more() {
    let mut stage = Stage::new(FOUR, ", outlier: { consecutive: 1000 }");
    stage.fail(0, 19);
    stage.pass(11);
    stage.fail(0, 19);
    assert_eq!(stage.state(0), "fit");
    stage.fail(0, 1);
    assert_eq!(stage.state(0), "ejected");
}

#[test]
fn at_most_a_share_is_ejected_and_never_the_last_fit_one() {
    let ten: Vec<String> = (1..=10).map(|host| format!("10.0.0.{host}:80")).collect();
    let stage = Stage::new(&ten.iter().map(String::as_str).collect::<Vec<_>>(), "");
    (0..10).for_each(|index| stage.fail(index, 5));
    let ejected = (0..10).filter(|&index| stage.state(index) == "ejected").count();
    assert_eq!(ejected, 3);
    let pair = Stage::new(&THREE[..2], ", outlier: { max_ejected: 100% }");
    pair.fail(0, 5);
    pair.fail(1, 50);
    assert_eq!([pair.state(0), pair.state(1)], ["ejected", "fit"]);
    let alone = Stage::new(&THREE[..1], "");
    alone.fail(0, 50);
    assert_eq!(alone.state(0), "fit");
}

#[test]
fn whoever_returns_is_on_trial_then_starts_slowly() {
    let mut stage = Stage::new(FOUR, "");
    stage.fail(0, 5);
    let until = stage.pool.end_ejections(stage.now).unwrap();
    assert!(until > stage.now + Duration::from_secs(8) && until <= stage.now + Duration::from_secs(11));
    stage.now = until;
    assert_eq!(stage.pool.end_ejections(until), None);
    assert_eq!(stage.state(0), "fit");
    let probe = stage.endpoint(0).try_lease(until).unwrap();
    assert!(stage.endpoint(0).try_lease(until).is_none(), "one request at a time");
    drop(probe);
    (0..2).for_each(|_| stage.answer(0));
    assert!(stage.endpoint(0).load().is_on_trial());
    stage.answer(0);
    assert!(!stage.endpoint(0).load().is_on_trial());
    assert_eq!(stage.endpoint(0).load().warmth(stage.now), 0.1);
    stage.pass(10);
    assert_eq!(stage.endpoint(0).load().warmth(stage.now), 1.0);
}

#[test]
fn one_failure_on_trial_ejects_for_longer() {
    let mut stage = Stage::new(FOUR, "");
    stage.fail(0, 5);
    stage.now = stage.pool.end_ejections(stage.now).unwrap();
    stage.pool.end_ejections(stage.now);
    stage.fail(0, 1);
    assert_eq!(stage.state(0), "ejected");
    let again = stage.pool.end_ejections(stage.now).unwrap() - stage.now;
    assert!((18..=22).contains(&again.as_secs()), "{again:?}");
}

#[test]
fn a_good_probe_does_not_undo_an_ejection() {
    let stage = Stage::new(FOUR, ", health: { tcp: {} }");
    (0..4).for_each(|index| stage.set_health(index, Health::Fit));
    stage.fail(0, 5);
    stage.set_health(0, Health::Fit);
    assert_eq!(stage.state(0), "ejected");
}

#[test]
fn nothing_is_ejected_where_that_is_switched_off() {
    let stage = Stage::new(FOUR, ", outlier: off");
    stage.fail(0, 100);
    assert_eq!(stage.state(0), "fit");
    assert_eq!(stage.endpoint(0).load().failures(), 100);
}

/// Sends requests for an hour, which end at once; returns how many the first endpoint gets.
fn an_hour_of_requests(stage: &mut Stage) -> usize {
    let mut got = 0;
    for _ in 0..3600 {
        stage.pass(1);
        for _ in 0..10 {
            let lease = stage.lease();
            got += usize::from(lease.endpoint().index() == 0);
            stage.pool.answered(&lease, LATENCY, stage.now);
            stage.pool.succeeded(&lease, stage.now);
        }
    }
    got
}

fn on_trial() -> Stage {
    let mut stage = Stage::new(FOUR, "");
    stage.fail(0, 5);
    stage.now = stage.pool.end_ejections(stage.now).unwrap();
    stage.pool.end_ejections(stage.now);
    stage
}

#[test]
fn requests_that_go_on_for_long_hold_no_trial_up() {
    let streams = |stage: &Stage| -> Vec<Lease> {
        (0..4).map(|index| stage.endpoint(index).try_lease(stage.now).unwrap()).collect()
    };
    let mut stage = Stage::new(FOUR, "");
    let _older = streams(&stage);
    stage.fail(0, 5);
    stage.now = stage.pool.end_ejections(stage.now).unwrap();
    stage.pool.end_ejections(stage.now);
    assert!(an_hour_of_requests(&mut stage) > 1000);
    let mut stage = on_trial();
    let probes = streams(&stage);
    stage.pool.answered(&probes[0], LATENCY, stage.now);
    assert!(an_hour_of_requests(&mut stage) > 1000);
}

#[test]
fn a_probe_whose_client_leaves_makes_room_for_another() {
    let stage = on_trial();
    drop(stage.endpoint(0).try_lease(stage.now).unwrap());
    assert!(stage.endpoint(0).try_lease(stage.now).is_some());
}

#[test]
fn what_was_sent_before_the_ejection_decides_nothing_after_it() {
    let mut stage = Stage::new(FOUR, "");
    let older: Vec<_> = (0..10).map(|_| stage.endpoint(0).try_lease(stage.now).unwrap()).collect();
    stage.fail(0, 5);
    stage.now = stage.pool.end_ejections(stage.now).unwrap();
    stage.pool.end_ejections(stage.now);
    for lease in &older {
        stage.pool.answered(lease, LATENCY, stage.now);
        stage.pool.failed(lease, Fault::UpstreamStatus, None, stage.now);
    }
    assert_eq!((stage.state(0), stage.endpoint(0).load().is_on_trial()), ("fit", true));
}

#[test]
fn where_nobody_else_is_fit_trials_are_over() {
    let stage = on_trial();
    (1..4).for_each(|index| stage.set_health(index, REFUSED));
    assert!(!stage.endpoint(0).load().is_on_trial());
    let many: Vec<_> = (0..50).map_while(|_| stage.endpoint(0).try_lease(stage.now)).collect();
    assert_eq!(many.len(), 50);
}

#[test]
fn answers_that_break_off_are_failures_in_a_row() {
    let stage = Stage::new(FOUR, "");
    for _ in 0..5 {
        let lease = stage.endpoint(0).try_lease(stage.now).unwrap();
        stage.pool.answered(&lease, LATENCY, stage.now);
        stage.pool.failed(&lease, Fault::UpstreamStatus, None, stage.now);
    }
    assert_eq!(stage.state(0), "ejected");
}

#[test]
fn an_open_stream_starves_no_endpoint_of_its_latency() {
    let now = Instant::now();
    let config = pool_config_with(THREE, ", outlier: off, slow_start: 0");
    let factory = |members: &[crate::hooks::Member], _: &mut Random| {
        Box::new(crate::pools::policy::PeakEwma::new(members)) as Box<dyn crate::hooks::Policy>
    };
    let pool = pool_of(&config, None, Box::new(factory), None, now);
    let mut stage = Stage { pool, now, random: Random::with_seed(7) };
    (0..3).for_each(|index| stage.answer(index));
    let _streams: Vec<_> = (0..3).map(|index| stage.endpoint(index).try_lease(now).unwrap()).collect();
    stage.fail(0, 1);
    assert!(an_hour_of_requests(&mut stage) > 100);
}

#[test]
fn an_operator_leaves_out_whom_it_wants_and_it_comes_back_by_itself() {
    let mut stage = Stage::new(FOUR, ", outlier: off, slow_start: 10s");
    stage.pool.order_out(stage.endpoint(0), stage.now + Duration::from_secs(60), stage.now);
    assert_eq!((stage.state(0), stage.shares()[0]), ("ejected", 0));
    let until = stage.now + Duration::from_secs(60);
    assert_eq!(stage.pool.end_ejections(stage.now), Some(until));
    stage.pass(60);
    assert_eq!(stage.pool.end_ejections(stage.now), None);
    assert_eq!((stage.state(0), stage.endpoint(0).load().is_on_trial()), ("fit", false));
    assert!(stage.endpoint(0).load().warmth(stage.now) < 1.0);
}

#[test]
fn an_order_shows_also_where_something_else_keeps_the_endpoint_out_for_longer() {
    let stage = Stage::new(FOUR, "");
    stage.fail(0, 5);
    assert_eq!((stage.state(0), stage.pool.ordered_out_until(stage.endpoint(0))), ("ejected", None));
    let until = stage.now + Duration::from_secs(1);
    stage.pool.order_out(stage.endpoint(0), until, stage.now);
    assert_eq!(stage.pool.ordered_out_until(stage.endpoint(0)), Some(until));
    assert!(stage.pool.ejections()[0].as_ref().unwrap().until > until);
}

#[test]
fn whoever_is_taken_in_is_left_out_by_no_operator() {
    let mut stage = Stage::new(FOUR, "");
    stage.pool.order_out(stage.endpoint(0), stage.now + Duration::from_secs(60), stage.now);
    stage.pool.set_drained(stage.endpoint(0), true, stage.now);
    assert_eq!(stage.state(0), "drained");
    stage.pool.set_drained(stage.endpoint(0), false, stage.now);
    assert_eq!((stage.state(0), stage.pool.end_ejections(stage.now)), ("fit", None));
    assert!(stage.shares()[0] > 0);
}

#[test]
fn where_an_operator_has_left_out_all_all_serve_as_in_panic() {
    let mut stage = Stage::new(&THREE[..2], "");
    let until = stage.now + Duration::from_secs(60);
    (0..2).for_each(|index| stage.pool.order_out(stage.endpoint(index), until, stage.now));
    assert!(stage.pool.is_in_panic());
    assert!(stage.shares().iter().all(|&share| share > 0));
}
