//! What a pick costs, by policy and by the size of the pool.

use divan::Bencher;
use evener::hooks::Policy;
use evener::hooks::testing::Fleet;
use evener::pools::policy::{LeastRequests, P2c, RandomByWeight, RoundRobin};
use evener::types::Random;
use tokio::time::Instant;

const SIZES: [usize; 3] = [3, 100, 10_000];

fn main() {
    divan::main();
}

/// A fleet in which members have different loads, as in life.
fn busy_fleet(size: usize) -> Fleet {
    let fleet = Fleet::new(&vec![1; size]);
    for member in 0..size {
        (0..member % 5).for_each(|_| fleet.begin(member, Instant::now()));
    }
    fleet
}

fn picks(bencher: Bencher<'_, '_>, fleet: &Fleet, policy: &dyn Policy) {
    let mut random = Random::with_seed(1);
    let now = Instant::now();
    bencher.bench_local(|| fleet.pick(policy, now, &mut random));
}

#[divan::bench(args = SIZES)]
fn p2c(bencher: Bencher<'_, '_>, size: usize) {
    let fleet = busy_fleet(size);
    picks(bencher, &fleet, &P2c::new(fleet.members()));
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
fn least_requests(bencher: Bencher<'_, '_>, size: usize) {
    picks(bencher, &busy_fleet(size), &LeastRequests);
}
