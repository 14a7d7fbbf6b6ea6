use proptest::prelude::*;

use super::*;

const MINUTES: Duration = Duration::from_secs(300);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn is_near(found: Duration, exact: Duration) -> bool {
    let off = found.abs_diff(exact);
    off <= exact.mul_f64(0.05) || off <= Duration::from_nanos(600)
}

#[test]
fn nothing_comes_to_nothing() {
    let now = Instant::now();
    assert_eq!(Pulse::new(now).summary(MINUTES, now), PulseSummary::default());
}

#[test]
fn tells_requests_errors_and_percentiles() {
    let now = Instant::now();
    let pulse = Pulse::new(now);
    for number in 1..=1000 {
        let status = if number % 50 == 0 { 503 } else { 499 };
        pulse.record(status, millis(number), now);
    }
    let summary = pulse.summary(MINUTES, now);
    assert_eq!((summary.requests, summary.errors), (1000, 20));
    assert!(is_near(summary.p50, millis(500)) && is_near(summary.p99, millis(990)), "{summary:?}");
    assert_eq!(pulse.summary(MINUTES, now), summary, "asking changes nothing");
}

#[test]
fn what_was_recorded_is_counted_up_for_good() {
    let start = Instant::now();
    let pulse = Pulse::new(start);
    [200, 404, 499, 503].into_iter().for_each(|status| pulse.record(status, millis(5), start));
    pulse.count_of_edge();
    let first = pulse.tally();
    assert_eq!((first.latencies.len(), first.errors, first.client_errors, first.of_edge), (4, 1, 2, 1));
    pulse.record(500, millis(80), start + 10 * MINUTES);
    assert_eq!(pulse.tally().latencies.len(), 5, "also what has left the ring");
    let since = pulse.tally().since(&first);
    assert_eq!((since.latencies.len(), since.errors, since.client_errors, since.of_edge), (1, 1, 0, 0));
    assert!(is_near(since.latencies.percentile(50), millis(80)));
}

#[test]
fn one_slow_request_of_a_hundred_is_not_the_p99() {
    let now = Instant::now();
    let pulse = Pulse::new(now);
    (0..99).for_each(|_| pulse.record(200, millis(10), now));
    pulse.record(200, Duration::from_secs(3600), now);
    assert!(is_near(pulse.summary(MINUTES, now).p99, millis(10)));
    pulse.record(200, Duration::from_secs(3600), now);
    let p99 = pulse.summary(MINUTES, now).p99;
    assert!(p99 > Duration::from_secs(120), "{p99:?}");
}

#[test]
fn forgets_after_five_minutes_also_what_a_thread_has_still_to_hand_in() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let pulse = Pulse::new(start);
    // Threads of their own, so that the shards of some are not the one that this thread empties as it records.
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| pulse.record(500, millis(1), at(5)))));
    });
    assert_eq!(pulse.summary(MINUTES, at(5)).errors, 3);
    assert_eq!(pulse.summary(MINUTES, at(299)).errors, 3);
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| pulse.record(500, millis(1), at(5)))));
    });
    // The slot of this one takes the place of that one's in the ring.
    pulse.record(200, millis(1), at(301));
    let summary = pulse.summary(MINUTES, at(301));
    assert_eq!((summary.requests, summary.errors), (1, 0));
    assert_eq!(pulse.summary(MINUTES, at(599)).requests, 1);
    assert_eq!(pulse.summary(MINUTES, at(600)).requests, 0);
}

#[test]
fn a_shorter_look_back_leaves_out_what_is_older() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let pulse = Pulse::new(start);
    (0..30).for_each(|slot| pulse.record(200, millis(1), at(slot * 10)));
    let requests = |over| pulse.summary(Duration::from_secs(over), at(295)).requests;
    assert_eq!([requests(0), requests(5), requests(6), requests(60), requests(300)], [1, 1, 2, 7, 30]);
}

#[test]
fn threads_lose_no_request() {
    const EACH: u64 = 20_000;

    let start = Instant::now();
    let pulse = Pulse::new(start);
    let asked = std::thread::scope(|scope| {
        for _ in 0..2 * SHARDS {
            // All go over several slots on their own, while somebody asks.
            scope.spawn(|| {
                (0..EACH).for_each(|number| {
                    pulse.record(
                        500 + (number % 2) as u16 * 100 - 100,
                        millis(number % 90),
                        start + millis(number),
                    );
                });
            });
        }
        (0..100).map(|_| pulse.summary(MINUTES, start + millis(EACH)).requests).collect::<Vec<_>>()
    });
    assert!(asked.is_sorted(), "{asked:?}");
    let summary = pulse.summary(MINUTES, start + millis(EACH));
    let all = 2 * SHARDS as u64 * EACH;
    assert_eq!((summary.requests, summary.errors), (all, all / 2));
    assert!(is_near(summary.p50, millis(44)), "{summary:?}");
}

/// A request as the model keeps it.
#[derive(Clone, Copy, Debug)]
struct Ended {
    slot: u64,
    status: u16,
    latency: Duration,
}

/// The same summary from every single request.
fn exact(requests: &[Ended], from: u64) -> PulseSummary {
    let counted: Vec<_> = requests.iter().filter(|ended| ended.slot >= from).collect();
    let mut latencies: Vec<_> = counted.iter().map(|ended| ended.latency).collect();
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100);
        rank.checked_sub(1).map_or(Duration::ZERO, |index| latencies[index])
    };
    PulseSummary {
        requests: counted.len() as u64,
        errors: counted.iter().filter(|ended| ended.status >= 500).count() as u64,
        p50: percentile(50),
        p99: percentile(99),
    }
}

/// From a nanosecond to two minutes, each magnitude as likely as any other.
fn latency() -> impl Strategy<Value = Duration> {
    (0_u32..37, any::<u64>())
        .prop_map(|(bits, number)| Duration::from_nanos((1 << bits) + number % (1 << bits)))
}

proptest! {
    #[test]
    fn agrees_with_every_single_request(
        requests in prop::collection::vec((0_u64..9_000, latency(), 100_u16..600), 1..400),
        over in 0_u64..400, later in 0_u64..400,
    ) {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        let mut model = Vec::new();
        let mut now = 0;
        for (pause, latency, status) in requests {
            now += pause;
            // Now and then a thread took its time before it got here.
            let told = if pause % 7 == 0 { now.saturating_sub(500) } else { now };
            pulse.record(status, latency, start + millis(told));
            let latest = model.last().map_or(0, |ended: &Ended| ended.slot);
            model.push(Ended { slot: latest.max(told / 10_000), status, latency });
        }
        let seconds = now / 1000 + later;
        let found = pulse.summary(Duration::from_secs(over), start + Duration::from_secs(seconds));
        let from = (seconds.saturating_sub(over) / 10).max((seconds / 10 + 1).saturating_sub(30));
        let exact = exact(&model, from);
        prop_assert_eq!((found.requests, found.errors), (exact.requests, exact.errors));
        prop_assert!(is_near(found.p50, exact.p50) && is_near(found.p99, exact.p99), "{found:?}, exactly {exact:?}");
    }
}
