//! What one key, or many, can make of a member's load.

use tokio::time::Instant;

use crate::hooks::testing::Fleet;
use crate::hooks::{Member, Policy};
use crate::types::Random;

use super::keys::hashed;

/// Begins a request and checks that the member that gets it stays within so many percent of its fair share.
fn begin_within(fleet: &Fleet, policy: &dyn Policy, key: usize, percent: u64, random: &mut Random) -> usize {
    let now = Instant::now();
    let weight = |member: &Member| u64::from(member.weight());
    let in_flight: u64 = fleet.members().iter().map(|member| u64::from(member.in_flight())).sum();
    let total: u64 = fleet.members().iter().map(weight).sum();
    let picked = fleet.pick_for(&format!("/{key}"), policy, now, random);
    fleet.begin(picked, now);
    let member = &fleet.members()[picked];
    let bound = (percent * (in_flight + 1) * weight(member)).div_ceil(100 * total);
    let has = u64::from(member.in_flight());
    assert!(has <= bound, "{has} of {in_flight} are with {picked}, which may have {bound}");
    picked
}

const NAMES: [&str; 2] = ["ring", "maglev"];
const BOUNDS: [u64; 4] = [100, 125, 150, 1000];

#[test]
fn one_hot_key_fills_nobody_above_the_bound() {
    for (name, percent) in NAMES.into_iter().flat_map(|name| BOUNDS.map(|percent| (name, percent))) {
        for weights in [&[1; 20][..], &[1, 2, 3, 50]] {
            let fleet = Fleet::new(weights);
            let policy = hashed(name, &format!("{{ key: path, bounded: {percent}% }}"))(fleet.members());
            let mut random = Random::with_seed(3);
            for _ in 0..1000 {
                begin_within(&fleet, policy.as_ref(), 1, percent, &mut random);
            }
        }
    }
}

#[test]
fn many_keys_of_unequal_frequency_fill_nobody_above_the_bound() {
    for (name, percent) in NAMES.into_iter().flat_map(|name| BOUNDS.map(|percent| (name, percent))) {
        let fleet = Fleet::new(&[1, 1, 1, 1, 2, 2, 2, 3, 3, 9]);
        let policy = hashed(name, &format!("{{ key: path, bounded: {percent}% }}"))(fleet.members());
        let mut random = Random::with_seed(5);
        let mut running = Vec::new();
        for _ in 0..5000 {
            // The density of 1/x over 1 to 10 000, which is Zipf's law.
            let key = 10_000_f64.powf(random.f64()) as usize;
            running.push(begin_within(&fleet, policy.as_ref(), key, percent, &mut random));
            if running.len() > 300 || random.u8(0..3) == 0 {
                fleet.end(running.swap_remove(random.usize(0..running.len())));
            }
        }
    }
}

#[test]
fn a_hot_key_spills_to_the_same_members_each_time() {
    let spilled = |name: &str| {
        let fleet = Fleet::new(&[1; 20]);
        let policy = hashed(name, "{ key: path, bounded: 1000% }")(fleet.members());
        let mut random = Random::new();
        (0..40).map(|_| begin_within(&fleet, policy.as_ref(), 7, 1000, &mut random)).collect::<Vec<_>>()
    };
    for name in NAMES {
        let picks = spilled(name);
        assert_eq!(picks, spilled(name));
        let mut members = picks;
        members.sort_unstable();
        members.dedup();
        assert!((2..=4).contains(&members.len()), "{members:?}");
    }
}

#[test]
fn without_a_bound_a_key_stays_as_long_as_there_is_room() {
    for name in NAMES {
        let fleet = Fleet::with_limit(&[1; 5], 30);
        let policy = hashed(name, "{ key: path, bounded: off }")(fleet.members());
        let (now, mut random) = (Instant::now(), Random::with_seed(1));
        let mut pick = || {
            let picked = fleet.pick(policy.as_ref(), now, &mut random);
            fleet.begin(picked, now);
            picked
        };
        let picks: Vec<_> = (0..60).map(|_| pick()).collect();
        assert!(picks[..30].iter().all(|pick| *pick == picks[0]), "{picks:?}");
        assert!(picks[30..].iter().all(|pick| *pick == picks[30] && *pick != picks[0]), "{picks:?}");
    }
}

/// Room is used up to the last place, also that of members that are at their bounds, and then any member does.
#[test]
fn room_goes_before_the_bound_and_without_room_any_member_will_do() {
    for name in NAMES {
        let fleet = Fleet::with_limit(&[1, 10], 10);
        let policy = hashed(name, "{ key: path, bounded: 100% }")(fleet.members());
        let (now, mut random) = (Instant::now(), Random::with_seed(1));
        for _ in 0..20 {
            let picked = fleet.pick(policy.as_ref(), now, &mut random);
            fleet.begin(picked, now);
        }
        assert!(fleet.members().iter().all(|member| !member.has_room()));
        assert!(fleet.pick(policy.as_ref(), now, &mut random) < 2);
    }
}
