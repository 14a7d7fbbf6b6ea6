use super::*;

#[test]
fn backups_serve_only_while_nobody_else_is_fit() {
    let mut stage =
        Stage::new(&["10.0.0.1:80", "{ address: '10.0.0.2:80', backup: true }"], ", health: { tcp: {} }");
    assert!(matches!(stage.pick(), Pick::NobodyFit));
    [0, 1].iter().for_each(|&index| stage.set_health(index, Health::Fit));
    assert_eq!(stage.shares(), [1000, 0]);
    stage.set_health(0, REFUSED);
    assert_eq!(stage.shares(), [0, 1000]);
    stage.set_health(0, Health::Fit);
    assert_eq!(stage.shares(), [1000, 0]);
}

fn zoned(own: &str) -> Stage {
    let now = Instant::now();
    let endpoints = [
        "{ address: '10.0.0.1:80', zone: a }",
        "{ address: '10.0.0.2:80', zone: a }",
        "{ address: '10.0.0.3:80', zone: b }",
        "{ address: '10.0.0.4:80', zone: b }",
    ];
    let zone = own.parse().unwrap();
    let pool = crate::pools::testing::pool_in_zone(&endpoints, ", panic: 0%", Some(&zone), now);
    Stage { pool, now, random: Random::with_seed(7) }
}

#[test]
fn the_own_zone_serves_while_it_holds_its_fair_share() {
    let mut stage = zoned("a");
    assert_eq!(stage.shares(), [500, 500, 0, 0]);
    stage.set_health(0, REFUSED);
    stage.pass(2);
    let shares = stage.shares();
    assert!(shares[0] == 0 && shares[1..].iter().all(|share| (320..350).contains(share)), "{shares:?}");
    stage.set_health(2, REFUSED);
    assert_eq!(stage.shares(), [0, 1000, 0, 0]);
}

#[test]
fn a_zone_without_endpoints_uses_all() {
    assert_eq!(zoned("c").shares(), [250; 4]);
}

#[test]
fn too_few_fit_ones_are_helped_by_all_that_can_be_connected_to() {
    let mut stage = Stage::new(FOUR, ", panic: 50%");
    stage.set_health(0, FAILING);
    stage.set_health(1, FAILING);
    assert_eq!(stage.shares(), [0, 0, 500, 500]);
    assert!(!stage.pool.is_in_panic());
    stage.set_health(2, REFUSED);
    assert!(stage.pool.is_in_panic());
    stage.pass(2);
    let shares = stage.shares();
    assert!(
        shares[2] == 0 && [0, 1, 3].iter().all(|&index| (320..350).contains(&shares[index])),
        "{shares:?}"
    );
    stage.set_health(3, REFUSED);
    assert_eq!(stage.shares(), [500, 500, 0, 0]);
    stage.set_health(0, REFUSED);
    stage.set_health(1, REFUSED);
    assert!(matches!(stage.pick(), Pick::NobodyFit));
}

#[test]
fn a_retry_prefers_the_fit_ones_even_in_a_panic() {
    let mut stage = Stage::new(THREE, "");
    stage.set_health(0, FAILING);
    stage.set_health(1, FAILING);
    assert!(stage.pool.is_in_panic());
    let (now, tried) = (stage.now, [stage.endpoint(0).clone()]);
    for _ in 0..20 {
        let lease = stage.pool.pick_another(&tried, now, &mut stage.random).unwrap();
        assert_eq!(lease.endpoint().index(), 2);
    }
}

#[test]
fn nobody_panics_where_it_is_switched_off() {
    let mut stage = Stage::new(FOUR, ", panic: 0%");
    (0..3).for_each(|index| stage.set_health(index, FAILING));
    assert_eq!(stage.shares(), [0, 0, 0, 1000]);
}

#[test]
fn one_that_recovers_starts_slowly_and_new_ones_do_not() {
    let mut stage = Stage::new(&THREE[..2], ", health: { tcp: {} }, slow_start: 10s");
    [0, 1].iter().for_each(|&index| stage.set_health(index, Health::Fit));
    assert_eq!(stage.shares(), [500, 500]);
    stage.pass(60);
    stage.set_health(0, FAILING);
    stage.pass(60);
    stage.set_health(0, Health::Fit);
    let at_first = stage.shares()[0];
    assert!((80..110).contains(&at_first), "{at_first}");
    stage.pass(5);
    let halfway = stage.shares()[0];
    assert!((320..345).contains(&halfway), "{halfway}");
    stage.pass(5);
    assert_eq!(stage.shares(), [500, 500]);
}

#[test]
fn the_only_one_that_recovers_has_nobody_to_start_slowly_beside() {
    let stage = Stage::new(&THREE[..2], ", health: { tcp: {} }");
    [0, 1].iter().for_each(|&index| stage.set_health(index, Health::Fit));
    [0, 1].iter().for_each(|&index| stage.set_health(index, REFUSED));
    stage.set_health(0, Health::Fit);
    assert_eq!(stage.endpoint(0).load().warmth(stage.now), 1.0);
}

#[test]
fn a_drained_endpoint_finishes_its_work_and_serves_its_own() {
    let mut stage = Stage::new(&THREE[..2], "");
    let leases = [stage.lease(), stage.lease()];
    let endpoint = stage.endpoint(0).clone();
    stage.pool.set_drained(&endpoint, true, stage.now);
    assert_eq!(stage.state(0), "draining");
    assert_eq!(stage.shares(), [0, 1000]);
    drop(leases);
    assert_eq!(stage.state(0), "drained");
    let Pick::Endpoint(pinned) = stage.pick_pinned(Some(0)) else { panic!("not served") };
    assert_eq!((pinned.endpoint().index(), stage.state(0)), (0, "draining"));
    drop(pinned);
    stage.pool.set_drained(&endpoint, false, stage.now);
    stage.pass(10);
    assert_eq!((stage.state(0), stage.shares()), ("fit", vec![500, 500]));
}

#[test]
fn a_client_of_an_unfit_endpoint_goes_elsewhere() {
    let mut stage = Stage::new(&THREE[..2], "");
    stage.set_health(0, REFUSED);
    let Pick::Endpoint(lease) = stage.pick_pinned(Some(0)) else { panic!("not served") };
    assert_eq!(lease.endpoint().index(), 1);
    stage.pool.set_drained(stage.endpoint(0), true, stage.now);
    let Pick::Endpoint(lease) = stage.pick_pinned(Some(0)) else { panic!("not served") };
    assert_eq!(lease.endpoint().index(), 1);
}

#[test]
fn weights_change_at_run_time_and_zero_drains() {
    let mut stage = Stage::new(&THREE[..2], ", slow_start: 0s");
    let endpoint = stage.endpoint(0).clone();
    let weight = |text: &str| text.parse().unwrap();
    stage.pool.set_weight(&endpoint, weight("3"), stage.now);
    assert_eq!(stage.shares(), [750, 250]);
    stage.pool.set_weight(&endpoint, weight("0"), stage.now);
    assert_eq!((stage.state(0), stage.shares()), ("drained", vec![0, 1000]));
    stage.pool.set_drained(&endpoint, false, stage.now);
    assert_eq!((stage.endpoint(0).weight(), stage.state(0)), (1, "fit"));
    stage.pass(2);
    assert_eq!(stage.shares(), [500, 500]);
}
