//! Where keys belong while nobody is busy: shares, and what moves when members or weights change.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use tokio::time::Instant;

use crate::hooks::testing::Fleet;
use crate::hooks::{Load, Member, Policy};
use crate::types::Random;

use super::keys::{address_for, hashed};

const KEYS: usize = 100_000;

/// The address of the member to which each of so many keys belongs.
fn placed(policy: &dyn Policy, members: &[Member], keys: usize) -> Vec<String> {
    (0..keys).map(|key| address_for(policy, members, "::1", &format!("/users/{key}"))).collect()
}

fn placed_by(name: &str, members: &[Member]) -> Vec<String> {
    placed(hashed(name, "{ key: path }")(members).as_ref(), members, KEYS)
}

fn moved(before: &[String], after: &[String]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

/// The largest deviation of a share from what the weight earns, relative to that.
fn worst_deviation(name: &str, settings: &str, weights: &[u16]) -> f64 {
    let fleet = Fleet::new(weights);
    let policy = hashed(name, settings)(fleet.members());
    let places = placed(policy.as_ref(), fleet.members(), 5 * KEYS);
    let total: u16 = weights.iter().sum();
    let deviation = |(member, weight): (&Member, &u16)| {
        let address = member.address().to_string();
        let share = places.iter().filter(|place| **place == address).count() as f64 / places.len() as f64;
        (share * f64::from(total) / f64::from(*weight) - 1.0).abs()
    };
    fleet.members().iter().zip(weights).map(deviation).fold(0.0, f64::max)
}

#[test]
fn shares_match_weights() {
    for weights in [&[1; 10][..], &[1, 2, 3, 4], &[5, 10, 100, 200]] {
        assert!(worst_deviation("ring", "{ key: path }", weights) < 0.15, "{weights:?}");
        assert!(worst_deviation("ring", "{ key: path, replicas: 2560 }", weights) < 0.1, "{weights:?}");
        assert!(worst_deviation("maglev", "{ key: path }", weights) < 0.01, "{weights:?}");
    }
}

#[test]
fn one_that_goes_moves_little_but_its_own_keys() {
    for size in [10, 100] {
        let fleet = Fleet::new(&vec![1; size]);
        for (name, most) in [("ring", 1.2), ("maglev", 2.0)] {
            let before = placed_by(name, fleet.members());
            for gone in (0..size).step_by(size / 5) {
                let after = placed_by(name, fleet.without(|index| index == gone).members());
                let gone = fleet.members()[gone].address().to_string();
                let own = before.iter().filter(|place| **place == gone).count();
                let moved = moved(&before, &after);
                assert!(moved as f64 <= most * KEYS as f64 / size as f64, "{name}: {moved} of {size}");
                assert!(moved == own || name == "maglev", "{moved} moved of {own}");
            }
        }
    }
}

/// Then the others' numbers of points change, if they differ.
#[test]
fn one_that_goes_from_a_scaled_ring_moves_at_most_twice_its_share() {
    let weights: Vec<u16> = (1..=10).map(|tens| tens * 10).collect();
    let fleet = Fleet::new(&weights);
    let before = placed_by("ring", fleet.members());
    for (gone, weight) in weights.iter().enumerate() {
        let after = placed_by("ring", fleet.without(|index| index == gone).members());
        let share = f64::from(*weight) / 550.0;
        let moved = moved(&before, &after) as f64 / KEYS as f64;
        assert!(moved <= 2.0 * share.max(0.1), "{moved} of weight {weight}");
    }
}

#[test]
fn the_order_of_members_moves_nothing() {
    let fleet = Fleet::new(&[1, 2, 3, 4, 5, 6, 7]);
    let mut shuffled = fleet.members().to_vec();
    Random::with_seed(2).shuffle(&mut shuffled);
    assert_ne!(shuffled[0].address(), fleet.members()[0].address());
    for name in ["ring", "maglev"] {
        assert_eq!(placed_by(name, fleet.members()), placed_by(name, &shuffled), "{name}");
    }
}

#[test]
fn a_small_change_of_a_weight_moves_few_keys() {
    for name in ["ring", "maglev"] {
        let before = placed_by(name, Fleet::new(&[100; 10]).members());
        let mut weights = [100; 10];
        weights[3] = 90;
        let after = placed_by(name, Fleet::new(&weights).members());
        let moved = moved(&before, &after);
        assert!(moved < KEYS / 40, "{name}: {moved}");
    }
}

#[test]
fn a_slow_start_moves_nothing() {
    let now = Instant::now();
    let member = |fleet: &Fleet, index: usize| {
        let load = Load::new("1".parse().unwrap(), 10, Duration::from_secs(10), Arc::default(), now);
        load.warm_up(now);
        Member::new(fleet.members()[index].shared_address().clone(), Arc::new(CachePadded::new(load)))
    };
    let fleet = Fleet::new(&[1; 3]);
    let warming: Vec<_> = (0..3).map(|index| member(&fleet, index)).collect();
    assert!(warming[0].share(now) < fleet.members()[0].share(now));
    for name in ["ring", "maglev"] {
        let before = placed_by(name, fleet.members());
        let after = placed_by(name, &warming);
        assert_eq!(before, after, "{name}");
    }
}
