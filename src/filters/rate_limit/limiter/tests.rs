use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Decision, Limiter};

fn limiter(rate: &str, burst: u32) -> Limiter {
    Limiter::new(rate.parse().unwrap(), burst, 1_000)
}

fn is_allowed(decision: Decision) -> bool {
    matches!(decision, Decision::Allowed { .. })
}

const INTERVAL: Duration = Duration::from_millis(10);
const NANO: Duration = Duration::from_nanos(1);

#[test]
fn so_many_as_the_burst_pass_at_once_and_then_one_per_interval() {
    let (limiter, start) = (limiter("100/s", 50), Instant::now());
    assert_eq!((0..200).filter(|_| is_allowed(limiter.decide(1, start))).count(), 50);
    assert!(!is_allowed(limiter.decide(1, start + INTERVAL - NANO)));
    assert!(is_allowed(limiter.decide(1, start + INTERVAL)));
    assert!(!is_allowed(limiter.decide(1, start + INTERVAL)));
    assert!(!is_allowed(limiter.decide(1, start + INTERVAL * 2 - NANO)));
    assert_eq!((0..9).filter(|_| is_allowed(limiter.decide(1, start + INTERVAL * 4))).count(), 3);
}

#[test]
fn a_burst_of_one_keeps_requests_at_the_even_pace() {
    let (limiter, start) = (limiter("100/s", 1), Instant::now());
    assert!(is_allowed(limiter.decide(1, start)));
    assert!(!is_allowed(limiter.decide(1, start + INTERVAL - NANO)));
    assert!(is_allowed(limiter.decide(1, start + INTERVAL)));
    assert!(!is_allowed(limiter.decide(1, start + INTERVAL)));
}

#[test]
fn tells_what_is_left_and_when_to_come_back() {
    let (limiter, start) = (limiter("100/s", 2), Instant::now());
    let allowed = |remaining, reset| Decision::Allowed { wait: Duration::ZERO, remaining, reset };
    assert_eq!(limiter.decide(1, start), allowed(1, INTERVAL));
    assert_eq!(limiter.decide(1, start), allowed(0, INTERVAL * 2));
    let refused = Decision::Limited { retry_after: INTERVAL, reset: INTERVAL * 2 };
    assert_eq!(limiter.decide(1, start), refused);
    let later = start + INTERVAL - NANO;
    assert_eq!(limiter.decide(1, later), Decision::Limited { retry_after: NANO, reset: INTERVAL + NANO });
}

#[test]
fn refused_requests_do_not_count() {
    let (limiter, start) = (limiter("1/s", 1), Instant::now());
    assert!(is_allowed(limiter.decide(1, start)));
    for millis in 0..1_000 {
        assert!(!is_allowed(limiter.decide(1, start + Duration::from_millis(millis))), "after {millis} ms");
    }
    assert!(is_allowed(limiter.decide(1, start + Duration::from_secs(1))));
}

#[test]
fn a_look_counts_nothing_and_a_charge_counts_whatever_the_look_says() {
    let (limiter, start) = (limiter("100/s", 2), Instant::now());
    let left = |now| match limiter.look(1, now) {
        Decision::Allowed { wait: Duration::ZERO, remaining, .. } => Some(remaining),
        _ => None,
    };
    assert_eq!((left(start), left(start)), (Some(2), Some(2)));
    assert_eq!(limiter.charge(1, 1, start), Duration::ZERO);
    assert_eq!(left(start), Some(1));
    assert_eq!(limiter.charge(1, 2, start), INTERVAL);
    assert_eq!((left(start), left(start + INTERVAL)), (None, None));
    let reset = INTERVAL * 3;
    assert_eq!(limiter.look(1, start), Decision::Limited { retry_after: INTERVAL * 2, reset });
    assert_eq!((left(start + INTERVAL * 2), left(start + reset)), (Some(1), Some(2)));
}

#[test]
fn the_patient_get_consecutive_turns_up_to_their_patience() {
    let (limiter, start) = (limiter("100/s", 1), Instant::now());
    let patience = INTERVAL * 2;
    let waits: Vec<Option<Duration>> = (0..4)
        .map(|_| match limiter.decide_within(1, start, patience) {
            Decision::Allowed { wait, .. } => Some(wait),
            Decision::Limited { .. } => None,
        })
        .collect();
    assert_eq!(waits, [Some(Duration::ZERO), Some(INTERVAL), Some(INTERVAL * 2), None]);
    assert!(!is_allowed(limiter.decide(1, start + INTERVAL * 3 - NANO)));
    assert!(is_allowed(limiter.decide(1, start + INTERVAL * 3)));
}

#[test]
fn a_time_before_the_first_request_counts_as_the_first() {
    let (limiter, start) = (limiter("1/s", 1), Instant::now() + Duration::from_secs(1));
    assert!(is_allowed(limiter.decide(1, start)));
    assert!(!is_allowed(limiter.decide(1, start - Duration::from_millis(1))));
    assert!(is_allowed(limiter.decide(2, start - Duration::from_millis(1))));
}

#[test]
fn forgets_keys_that_are_back_at_rest() {
    let (limiter, start) = (Limiter::new("1000/s".parse().unwrap(), 1, 100_000), Instant::now());
    for key in 0..100_000_u32 {
        // One key each microsecond, at rest after a millisecond: 1000 owe something at any time.
        limiter.decide(key.into(), start + Duration::from_micros(key.into()));
    }
    assert!(limiter.keys() < 20_000, "{} keys are held", limiter.keys());
    assert!(limiter.allocated_bytes() < 2 << 20, "{} bytes", limiter.allocated_bytes());
}

#[test]
fn a_million_keys_stay_under_128_mib_and_a_second_million_needs_no_more() {
    let (limiter, start) = (Limiter::new("1/h".parse().unwrap(), 1, 1_000_000), Instant::now());
    for key in 0..1_000_000_u32 {
        limiter.decide(key.into(), start);
    }
    assert!(limiter.keys() > 950_000, "{} keys are held", limiter.keys());
    assert!(limiter.allocated_bytes() < 128 << 20, "{} bytes", limiter.allocated_bytes());
    let full = limiter.allocated_bytes();
    for key in 1_000_000..2_000_000_u32 {
        limiter.decide(key.into(), start);
    }
    assert!(limiter.keys() <= 1_000_000, "{} keys are held", limiter.keys());
    assert!(limiter.allocated_bytes() < full + full / 10, "{} bytes", limiter.allocated_bytes());
}

#[test]
fn threads_together_get_exactly_the_burst() {
    let (limiter, start) = (limiter("1/h", 1_000), Instant::now());
    let allowed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for request in 0..2_000_u128 {
                    let decision = limiter.decide(7, start);
                    allowed.fetch_add(u32::from(is_allowed(decision)), Ordering::Relaxed);
                    limiter.decide(8 + request, start);
                }
            });
        }
    });
    assert_eq!(allowed.load(Ordering::Relaxed), 1_000);
}

proptest! {
    #[test]
    fn who_pauses_as_told_keeps_to_rate_and_burst(
        pieces in prop::collection::vec((1_u32..70_000, 0_u64..200_000), 1..200),
    ) {
        let (rate, burst, largest) = (1_000_000_f64, 65_536_f64, 70_000_f64);
        let limiter = limiter("1000000/s", 65_536);
        let (start, mut now, mut passed) = (Instant::now(), Instant::now(), 0.0);
        let mut slowest = 0.0;
        for (bytes, idle) in pieces {
            passed += f64::from(bytes);
            let pause = limiter.charge(1, bytes, now);
            let most = burst + rate * (now - start).as_secs_f64() + largest;
            prop_assert!(passed <= most + 1.0, "{passed} of {most}");
            // Nobody pauses for longer than what the piece itself and the one before it cost.
            slowest = f64::max(slowest, pause.as_secs_f64());
            now += pause + Duration::from_micros(idle);
        }
        prop_assert!(slowest <= largest / rate, "{slowest}");
    }

    #[test]
    fn keys_do_not_disturb_each_other(
        requests in prop::collection::vec((0_usize..5, 0_u64..30_000_000), 1..300),
        burst in 1_u32..6,
    ) {
        // The plainest model: a request passes if no window up to it would hold more than burst + rate × time.
        let (limiter, start) = (limiter("100/s", burst), Instant::now());
        let interval = 10_000_000_u64;
        let mut passed: [Vec<u64>; 5] = Default::default();
        let mut now = 0;
        for (key, pause) in requests {
            now += pause / 5;
            let window_is_full = passed[key].iter().rev().zip(1_u64..).any(|(then, count)| {
                (count + 1).saturating_sub(burst.into()) * interval > now - then
            });
            let allowed = is_allowed(limiter.decide(key as u128, start + Duration::from_nanos(now)));
            prop_assert_eq!(allowed, !window_is_full, "key {} at {}", key, now);
            if allowed {
                passed[key].push(now);
            }
        }
    }
}
