use super::*;

const MILLI: Duration = Duration::from_millis(1);

/// A fleet of equal weights whose members answered within so many milliseconds; zero for none.
fn answered(millis: &[u32], now: Instant) -> Fleet {
    let fleet = Fleet::new(&vec![1; millis.len()]);
    for (member, &millis) in millis.iter().enumerate().filter(|(_, millis)| **millis > 0) {
        fleet.observe(member, MILLI * millis, now);
    }
    fleet
}

/// How often each member is picked in a thousand requests at one moment, which end at once.
fn picks(fleet: &Fleet, now: Instant) -> Vec<usize> {
    let policy = PeakEwma::new(fleet.members());
    let mut random = Random::with_seed(7);
    let mut picks = vec![0; fleet.members().len()];
    (0..1000).for_each(|_| picks[fleet.serve(&policy, now, &mut random)] += 1);
    picks
}

#[test]
fn a_slow_member_is_left_alone_though_it_is_idle() {
    let now = Instant::now();
    assert_eq!(picks(&answered(&[5, 500, 5], now), now)[1], 0);
    let many = picks(&answered(&[500, 5, 5, 5, 5, 5, 5, 5], now), now);
    assert!(many[0] == 0 && many[1..].iter().all(|picks| (100..190).contains(picks)), "{many:?}");
}

#[test]
fn small_differences_leave_it_to_the_load() {
    let now = Instant::now();
    let fleet = answered(&[50, 90], now);
    assert_eq!(picks(&fleet, now), [500, 500]);
    fleet.begin(0, now);
    assert_eq!(picks(&fleet, now), [0, 1000]);
}

#[test]
fn what_is_fast_enough_is_not_told_apart() {
    let now = Instant::now();
    assert_eq!(picks(&answered(&[1, 19], now), now), [500, 500]);
}

#[test]
fn load_and_latency_are_weighed_against_each_other() {
    let now = Instant::now();
    // Twenty times slower is ten times beyond what counts as equal.
    let fleet = answered(&[50, 1000], now);
    (0..8).for_each(|_| fleet.begin(0, now));
    assert_eq!(picks(&fleet, now)[1], 0);
    (0..4).for_each(|_| fleet.begin(0, now));
    assert_eq!(picks(&fleet, now)[0], 0);
}

#[test]
fn whoever_has_not_answered_is_taken_for_the_median() {
    let now = Instant::now();
    let shares = picks(&answered(&[0, 50, 1000], now), now);
    assert_eq!(shares, [500, 500, 0]);
    let idle = picks(&answered(&[0, 0, 0], now), now);
    assert!(idle.iter().all(|picks| (333..=334).contains(picks)), "{idle:?}");
}

#[test]
fn nobody_is_avoided_for_good() {
    let now = Instant::now();
    let fleet = answered(&[5000, 5], now);
    let policy = PeakEwma::new(fleet.members());
    let mut random = Random::with_seed(7);
    let tried_after = (0..1000).find(|&tenths| {
        let later = now + 100 * MILLI * tenths;
        fleet.observe(1, 5 * MILLI, later);
        fleet.serve(&policy, later, &mut random) == 0
    });
    // ln(5000 / 40) decays of ten seconds.
    let seconds = tried_after.expect("never tried again") / 10;
    assert!((47..=49).contains(&seconds), "{seconds}");
}

#[test]
fn equally_fast_members_share_by_weight() {
    let now = Instant::now();
    let fleet = Fleet::new(&[10, 1]);
    (0..2).for_each(|member| fleet.observe(member, 5 * MILLI, now));
    assert_eq!(picks(&fleet, now), [909, 91]);
}
