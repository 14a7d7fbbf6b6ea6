mod bounds;
mod keys;
mod latency;
mod placement;

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use crate::hooks::testing::Fleet;
use crate::hooks::{Member, Policy};
use crate::types::Random;

use super::*;

fn pick(policy: &dyn Policy, fleet: &Fleet, random: &mut Random) -> usize {
    fleet.pick(policy, Instant::now(), random)
}

/// How often each member is picked in `picks` requests that end at once, a thousand of them in a second.
fn shares(policy: &dyn Policy, fleet: &Fleet, picks: u64) -> Vec<usize> {
    let mut random = Random::with_seed(7);
    let mut shares = vec![0; fleet.members().len()];
    let start = Instant::now();
    for number in 0..picks {
        shares[fleet.serve(policy, start + Duration::from_millis(number), &mut random)] += 1;
    }
    shares
}

/// All policies that can be built for any members.
fn all(fleet: &Fleet) -> Vec<(&'static str, Box<dyn Policy>)> {
    let members = fleet.members();
    vec![
        ("first", Box::new(First)),
        ("least_requests", Box::new(LeastRequests)),
        ("maglev", keys::hashed("maglev", "{ key: path, table: 251 }")(members)),
        ("p2c", Box::new(P2c::new(members))),
        ("peak_ewma", Box::new(PeakEwma::new(members))),
        ("random", Box::new(RandomByWeight::new(members))),
        ("ring", keys::hashed("ring", "{ key: path }")(members)),
        ("round_robin", Box::new(RoundRobin::new(members, &mut Random::with_seed(3)))),
    ]
}

#[test]
fn weighted_policies_share_by_weight_within_a_percent() {
    let fleet = Fleet::new(&[1, 2, 3, 10, 84]);
    let by_weight = |(name, _): &(&str, Box<dyn Policy>)| !["first", "maglev", "ring"].contains(name);
    for (name, policy) in all(&fleet).into_iter().filter(by_weight) {
        for (share, weight) in shares(policy.as_ref(), &fleet, 100_000).iter().zip([1, 2, 3, 10, 84]) {
            assert!(share.abs_diff(weight * 1000) < 1000, "{name}: {share} of weight {weight}");
        }
    }
}

#[test]
fn round_robin_never_bunches() {
    let fleet = Fleet::new(&[5, 1, 1]);
    let policy = RoundRobin::new(fleet.members(), &mut Random::with_seed(3));
    let mut random = Random::with_seed(0);
    let turns: Vec<_> = (0..7).map(|_| pick(&policy, &fleet, &mut random)).collect();
    assert_eq!(turns.iter().filter(|&&turn| turn == 0).count(), 5);
    let twice: Vec<_> = turns.iter().chain(&turns).collect();
    assert!(!twice.windows(4).any(|run| run.iter().all(|&&turn| turn == 0)), "{turns:?}");
}

#[test]
fn round_robin_of_huge_weights_stays_small() {
    let weights: Vec<u16> = (0..400).map(|i| 601 + i).collect();
    let fleet = Fleet::new(&weights);
    let policy = RoundRobin::new(fleet.members(), &mut Random::with_seed(3));
    let share = shares(&policy, &fleet, 400_000);
    let expected =
        |weight: u16| 400_000.0 * f64::from(weight) / weights.iter().map(|&w| f64::from(w)).sum::<f64>();
    for (share, weight) in share.iter().zip(&weights) {
        assert!((*share as f64 / expected(*weight) - 1.0).abs() < 0.02, "{share} of {weight}");
    }
}

#[test]
fn load_aware_policies_leave_a_busy_member_alone() {
    let fleet = Fleet::new(&[1, 1, 1]);
    (0..5).for_each(|_| fleet.begin(1, Instant::now()));
    (0..5).for_each(|_| fleet.observe(1, Duration::from_millis(1), Instant::now()));
    let policies: [&dyn Policy; 3] =
        [&P2c::new(fleet.members()), &LeastRequests, &PeakEwma::new(fleet.members())];
    for policy in policies {
        let shares = shares(policy, &fleet, 10_000);
        assert_eq!(shares[1], 0);
        assert!(shares[0].abs_diff(5000) < 300, "{shares:?}");
    }
}

#[test]
fn a_weight_of_two_carries_twice_the_load() {
    let fleet = Fleet::new(&[1, 2]);
    let mut random = Random::with_seed(5);
    for _ in 0..300 {
        let index = pick(&LeastRequests, &fleet, &mut random);
        fleet.begin(index, Instant::now());
    }
    assert_eq!(fleet.members()[0].in_flight(), 100);
}

#[test]
fn two_choices_beat_one_by_far() {
    let (p2c, random) = (Fleet::new(&[1; 100]), Fleet::new(&[1; 100]));
    let worst = |policy: &dyn Policy, fleet: &Fleet| {
        let mut source = Random::with_seed(11);
        for _ in 0..1000 {
            fleet.begin(pick(policy, fleet, &mut source), Instant::now());
        }
        fleet.members().iter().map(Member::in_flight).max().unwrap()
    };
    let one_choice = worst(&RandomByWeight::new(random.members()), &random);
    let two_choices = worst(&P2c::new(p2c.members()), &p2c);
    assert!(two_choices <= 13 && one_choice >= 16, "{two_choices} against {one_choice}");
}

proptest! {
    #[test]
    fn every_pick_is_a_member(weights in prop::collection::vec(1u16..=1000, 1..20), seed: u64) {
        let fleet = Fleet::new(&weights);
        let mut random = Random::with_seed(seed);
        for (name, policy) in all(&fleet) {
            for _ in 0..50 {
                prop_assert!(pick(policy.as_ref(), &fleet, &mut random) < weights.len(), "{}", name);
            }
        }
    }

    #[test]
    fn p2c_never_takes_the_more_loaded_of_all(loads in prop::collection::vec(0u32..9, 4..30), seed: u64) {
        let fleet = Fleet::new(&vec![1; loads.len()]);
        for (member, count) in loads.iter().enumerate() {
            (0..*count).for_each(|_| fleet.begin(member, Instant::now()));
        }
        let highest = *loads.iter().max().unwrap();
        prop_assume!(loads.iter().filter(|&&load| load == highest).count() == 1);
        let mut random = Random::with_seed(seed);
        for _ in 0..100 {
            let picked = pick(&P2c::new(fleet.members()), &fleet, &mut random);
            prop_assert!(loads[picked] < highest);
        }
    }
}
