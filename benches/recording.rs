//! What it costs to count a request at its endpoint, and to tell the pool and the configuration what it came to.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divan::Bencher;
use evener::pools::measuring::{Pulse, Recorder};
use tokio::time::Instant;

fn main() {
    divan::main();
}

/// The latency's average, the outlier window and the row of failures.
#[divan::bench]
fn outcome(bencher: Bencher<'_, '_>) {
    let mut now = Instant::now();
    let recorder = Recorder::new(now);
    bencher.bench_local(|| {
        now += Duration::from_micros(100);
        recorder.answered(black_box(Duration::from_millis(5)), now);
    });
}

/// The counts in flight, of the endpoint and its pool, and its rate of picks.
#[divan::bench]
fn begin_and_end(bencher: Bencher<'_, '_>) {
    let mut now = Instant::now();
    let recorder = Recorder::new(now);
    bencher.bench_local(|| {
        now += Duration::from_micros(100);
        recorder.begin_and_end(black_box(now));
    });
}

/// The counts and the histogram of a configuration: on one thread, and on two at once.
#[divan::bench(threads = [1, 2])]
fn pulse(bencher: Bencher<'_, '_>) {
    let start = Instant::now();
    let pulse = Pulse::new(start);
    let nanos = AtomicU64::new(0);
    bencher.with_inputs(|| Duration::from_nanos(nanos.fetch_add(100_000, Ordering::Relaxed))).bench_values(
        |passed| {
            pulse.record(black_box(200), passed / 1000, start + passed);
        },
    );
}

/// What a look at the last minute costs.
#[divan::bench]
fn pulse_summary(bencher: Bencher<'_, '_>) {
    let start = Instant::now();
    let pulse = Pulse::new(start);
    (0..300_000).for_each(|millis| {
        pulse.record(200, Duration::from_micros(millis), start + Duration::from_millis(millis))
    });
    bencher
        .bench_local(|| pulse.summary(Duration::from_secs(60), black_box(start + Duration::from_secs(300))));
}
