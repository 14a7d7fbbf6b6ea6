use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::hooks::{Load, Member, PickCx, Policy};
use crate::types::{EndpointAddr, Random, Weight};

use super::*;

struct Fleet {
    members: Vec<Member>,
    loads: Vec<Arc<CachePadded<Load>>>,
}

fn fleet(weights: &[u16]) -> Fleet {
    let loads: Vec<Arc<CachePadded<Load>>> = weights.iter().map(|_| Arc::default()).collect();
    let member = |(index, weight): (usize, &u16)| {
        let address = EndpointAddr::Inet(([10, 0, 0, 1], 1000 + index as u16).into());
        let weight: Weight = weight.to_string().parse().unwrap();
        Member::new(Arc::new(address), weight, loads[index].clone())
    };
    Fleet { members: weights.iter().enumerate().map(member).collect(), loads }
}

fn cx() -> PickCx<'static> {
    PickCx { client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST), now: Instant::now(), host: "h", path: "/" }
}

/// How often each member is picked in `picks` picks that end at once.
fn shares(policy: &dyn Policy, fleet: &Fleet, picks: usize) -> Vec<usize> {
    let mut random = Random::with_seed(7);
    let mut shares = vec![0; fleet.members.len()];
    for _ in 0..picks {
        shares[policy.pick(&fleet.members, &cx(), &mut random)] += 1;
    }
    shares
}

#[test]
fn weighted_policies_share_by_weight_within_a_percent() {
    let fleet = fleet(&[1, 2, 3, 10, 84]);
    let mut random = Random::with_seed(1);
    let policies: [(&str, Box<dyn Policy>); 2] = [
        ("round_robin", Box::new(RoundRobin::new(&fleet.members, &mut random))),
        ("random", Box::new(RandomByWeight::new(&fleet.members))),
    ];
    for (name, policy) in policies {
        for (share, weight) in shares(policy.as_ref(), &fleet, 100_000).iter().zip([1, 2, 3, 10, 84]) {
            assert!(share.abs_diff(weight * 1000) < 1000, "{name}: {share} of weight {weight}");
        }
    }
}

#[test]
fn round_robin_never_bunches() {
    let fleet = fleet(&[5, 1, 1]);
    let policy = RoundRobin::new(&fleet.members, &mut Random::with_seed(3));
    let mut random = Random::with_seed(0);
    let turns: Vec<_> = (0..7).map(|_| policy.pick(&fleet.members, &cx(), &mut random)).collect();
    assert_eq!(turns.iter().filter(|&&turn| turn == 0).count(), 5);
    let twice: Vec<_> = turns.iter().chain(&turns).collect();
    assert!(!twice.windows(4).any(|run| run.iter().all(|&&turn| turn == 0)), "{turns:?}");
}

#[test]
fn round_robin_of_huge_weights_stays_small() {
    let weights: Vec<u16> = (0..400).map(|i| 601 + i).collect();
    let fleet = fleet(&weights);
    let policy = RoundRobin::new(&fleet.members, &mut Random::with_seed(3));
    let share = shares(&policy, &fleet, 400_000);
    let expected = |weight: u16| 400_000.0 * f64::from(weight) / weights.iter().map(|&w| f64::from(w)).sum::<f64>();
    for (share, weight) in share.iter().zip(&weights) {
        assert!((*share as f64 / expected(*weight) - 1.0).abs() < 0.02, "{share} of {weight}");
    }
}

#[test]
fn load_aware_policies_leave_a_busy_member_alone() {
    let fleet = fleet(&[1, 1, 1]);
    (0..5).for_each(|_| fleet.loads[1].begin());
    for policy in [&P2c as &dyn Policy, &LeastRequests] {
        let shares = shares(policy, &fleet, 10_000);
        assert_eq!(shares[1], 0);
        assert!(shares[0].abs_diff(5000) < 300, "{shares:?}");
    }
}

#[test]
fn a_weight_of_two_carries_twice_the_load() {
    let fleet = fleet(&[1, 2]);
    let mut random = Random::with_seed(5);
    for _ in 0..300 {
        let index = LeastRequests.pick(&fleet.members, &cx(), &mut random);
        fleet.loads[index].begin();
    }
    assert_eq!(fleet.members[0].in_flight(), 100);
}

#[test]
fn two_choices_beat_one_by_far() {
    let (p2c, random) = (fleet(&[1; 100]), fleet(&[1; 100]));
    let worst = |policy: &dyn Policy, fleet: &Fleet| {
        let mut source = Random::with_seed(11);
        for _ in 0..1000 {
            fleet.loads[policy.pick(&fleet.members, &cx(), &mut source)].begin();
        }
        fleet.members.iter().map(Member::in_flight).max().unwrap()
    };
    let one_choice = worst(&RandomByWeight::new(&random.members), &random);
    let two_choices = worst(&P2c, &p2c);
    assert!(two_choices <= 13 && one_choice >= 16, "{two_choices} against {one_choice}");
}

proptest! {
    #[test]
    fn every_pick_is_a_member(weights in prop::collection::vec(1u16..=1000, 1..20), seed: u64) {
        let fleet = fleet(&weights);
        let mut random = Random::with_seed(seed);
        let policies: [Box<dyn Policy>; 4] = [
            Box::new(P2c),
            Box::new(LeastRequests),
            Box::new(RoundRobin::new(&fleet.members, &mut random)),
            Box::new(RandomByWeight::new(&fleet.members)),
        ];
        for policy in &policies {
            for _ in 0..50 {
                prop_assert!(policy.pick(&fleet.members, &cx(), &mut random) < weights.len());
            }
        }
    }

    #[test]
    fn p2c_never_takes_the_more_loaded_of_all(loads in prop::collection::vec(0u32..9, 4..30), seed: u64) {
        let fleet = fleet(&vec![1; loads.len()]);
        for (load, count) in fleet.loads.iter().zip(&loads) {
            (0..*count).for_each(|_| load.begin());
        }
        let highest = *loads.iter().max().unwrap();
        prop_assume!(loads.iter().filter(|&&load| load == highest).count() == 1);
        let mut random = Random::with_seed(seed);
        for _ in 0..100 {
            let picked = P2c.pick(&fleet.members, &cx(), &mut random);
            prop_assert!(loads[picked] < highest);
        }
    }
}
