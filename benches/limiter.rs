//! What a decision of the rate limiter costs, by the number of keys that it holds.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]

use std::cell::Cell;

use divan::{Bencher, black_box};
use evener::filters::{Decision, Limiter};
use evener::hooks::Export;
use tokio::time::Instant;

fn main() {
    divan::main();
}

const KEYS: [u32; 3] = [1, 1_000, 1_000_000];

/// A limiter that holds `keys` keys, each of which has made one request. With a burst of 1 the next is refused.
fn limiter(keys: u32, burst: u32, now: Instant) -> Limiter {
    let rate = "1/h".parse().expect("a rate");
    let limiter = Limiter::new(rate, burst, 2_000_000);
    for key in 0..keys {
        limiter.decide(key.into(), now);
    }
    limiter
}

/// Walks over the keys in an order that caches cannot foresee.
fn next_key(keys: u32, last: &Cell<u32>) -> u128 {
    last.set(last.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    ((u64::from(last.get()) * u64::from(keys)) >> 32).into()
}

#[divan::bench(args = KEYS)]
fn allowed(bencher: Bencher<'_, '_>, keys: u32) {
    let now = Instant::now();
    let limiter = limiter(keys, u32::MAX, now);
    let last = Cell::new(1);
    bencher.bench_local(|| {
        let decision = limiter.decide(next_key(keys, &last), black_box(now));
        assert!(matches!(decision, Decision::Allowed { .. }));
        decision
    });
}

#[divan::bench(args = KEYS)]
fn limited(bencher: Bencher<'_, '_>, keys: u32) {
    let now = Instant::now();
    let limiter = limiter(keys, 1, now);
    let last = Cell::new(1);
    bencher.bench_local(|| {
        let decision = limiter.decide(next_key(keys, &last), black_box(now));
        assert!(matches!(decision, Decision::Limited { .. }));
        decision
    });
}

/// Two threads on one key: the price of its lock.
#[divan::bench(threads = [1, 2])]
fn contended(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let limiter = limiter(1, u32::MAX, now);
    bencher.bench(|| limiter.decide(0, black_box(now)));
}

/// A million keys that go to another process: into bytes and out of them.
#[divan::bench(sample_count = 10)]
fn handed_over(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let old = limiter(1_000_000, 1, now);
    bencher.with_inputs(|| limiter(0, 1, now)).bench_local_values(|mut new| {
        new.import(&old.export(black_box(now)), now).expect("what was just exported");
        new
    });
}
