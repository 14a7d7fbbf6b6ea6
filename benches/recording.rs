//! What it costs to count a request at its endpoint and to tell the pool what it came to.

use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use evener::pools::measuring::Recorder;
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
