//! What a pick costs, by policy and by the size of the pool, and what building a hashed policy costs.

use std::time::Duration;

use divan::Bencher;
use evener::hooks::testing::{Fleet, build};
use evener::hooks::{KeySpec, Member, Policy};
use evener::pools::policy::{
    First, LeastRequests, Maglev, MaglevSettings, P2c, PeakEwma, RandomByWeight, Ring, RingSettings,
    RoundRobin,
};
use evener::types::Random;
use tokio::time::Instant;

const SIZES: [usize; 4] = [3, 100, 1_000, 10_000];
const BUILT_SIZES: [usize; 4] = [3, 10, 100, 1_000];

fn main() {
    divan::main();
}

/// A fleet in which members have different loads and latencies, as in life.
fn busy_fleet(size: usize) -> Fleet {
    let (fleet, now) = (Fleet::new(&vec![1; size]), Instant::now());
    for member in 0..size {
        (0..member % 5).for_each(|_| fleet.begin(member, now));
        fleet.observe(member, Duration::from_millis(1 + member as u64 * 7 % 50), now);
    }
    fleet
}

fn picks(bencher: Bencher<'_, '_>, fleet: &Fleet, policy: &dyn Policy) {
    let mut random = Random::with_seed(1);
    let now = Instant::now();
    bencher.bench_local(|| fleet.pick(policy, now, &mut random));
}

/// Picks for so many keys in turn that no branch and no cache line can be known from the pick before.
fn picks_of_many_keys(bencher: Bencher<'_, '_>, fleet: &Fleet, policy: &dyn Policy) {
    let mut random = Random::with_seed(1);
    let now = Instant::now();
    let paths: Vec<_> = (0..16_384).map(|key| format!("/users/{key}")).collect();
    let mut paths = paths.iter().cycle();
    bencher.bench_local(|| fleet.pick_for(paths.next().map_or("/", |path| path), policy, now, &mut random));
}

#[expect(clippy::expect_used, reason = "these settings are sound")]
fn ring_of(members: &[Member]) -> Ring {
    let settings = RingSettings { key: KeySpec::Path, ..RingSettings::default() };
    build(settings, Ring::build).expect("a ring")(members)
}

#[expect(clippy::expect_used, reason = "these settings are sound")]
fn maglev_of(members: &[Member]) -> Maglev {
    let settings = MaglevSettings { key: KeySpec::Path, ..MaglevSettings::default() };
    build(settings, Maglev::build).expect("a table")(members)
}

#[divan::bench(args = SIZES)]
fn p2c(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = busy_fleet(size);
    picks(bencher, &fleet, &P2c::new(fleet.members()));
}

#[divan::bench(args = SIZES)]
fn peak_ewma(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = busy_fleet(size);
    picks(bencher, &fleet, &PeakEwma::new(fleet.members()));
}

#[divan::bench(args = SIZES)]
fn round_robin(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = busy_fleet(size);
    picks(bencher, &fleet, &RoundRobin::new(fleet.members(), &mut Random::with_seed(1)));
}

#[divan::bench(args = SIZES)]
fn random(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = busy_fleet(size);
    picks(bencher, &fleet, &RandomByWeight::new(fleet.members()));
}

#[divan::bench(args = SIZES)]
fn first(bencher: Bencher<'_, '_>, size: usize) {
    picks(bencher, &busy_fleet(size), &First);
}

#[divan::bench(args = SIZES)]
fn least_requests(bencher: Bencher<'_, '_>, size: usize) {
    picks(bencher, &busy_fleet(size), &LeastRequests);
}

#[divan::bench(args = SIZES)]
fn ring(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = busy_fleet(size);
    picks_of_many_keys(bencher, &fleet, &ring_of(fleet.members()));
}

#[divan::bench(args = SIZES)]
fn maglev(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = busy_fleet(size);
    picks_of_many_keys(bencher, &fleet, &maglev_of(fleet.members()));
}

/// One key that fills whoever it comes to: all picks jump.
#[divan::bench(args = SIZES)]
fn ring_hot_key(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = Fleet::new(&vec![1; size]);
    let policy = ring_of(fleet.members());
    let (now, mut random) = (Instant::now(), Random::with_seed(1));
    for _ in 0..5 * size {
        fleet.begin(fleet.pick(&policy, now, &mut random), now);
    }
    picks(bencher, &fleet, &policy);
}

#[divan::bench(args = BUILT_SIZES)]
fn build_ring(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = Fleet::new(&vec![1; size]);
    bencher.bench_local(|| ring_of(fleet.members()));
}

/// As large as a ring of the usual number of replicas becomes.
#[divan::bench(args = BUILT_SIZES)]
fn build_ring_of_large_weights(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = Fleet::new(&vec![100; size]);
    bencher.bench_local(|| ring_of(fleet.members()));
}

#[divan::bench(args = BUILT_SIZES)]
fn build_maglev(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = Fleet::new(&vec![1; size]);
    bencher.bench_local(|| maglev_of(fleet.members()));
}
