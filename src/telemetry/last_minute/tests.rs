use proptest::prelude::*;

use super::*;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Turns at equal distances, from a beginning on.
struct Clock(Instant);

impl Clock {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn turn(&mut self, after: Duration) -> Turn {
        let since = self.0;
        self.0 += after;
        Turn { since, now: self.0 }
    }
}

#[test]
fn a_window_tells_of_its_minute_and_no_more() {
    let (latencies, mut clock) = (Latencies::default(), Clock::new());
    (0..100).for_each(|_| latencies.count(millis(500)));
    latencies.turn(clock.turn(TURN));
    let told = latencies.last_minute().percentiles();
    assert!((480.0..520.0).contains(&told.p50_ms.unwrap()), "{told:?}");
    assert_eq!(told.per_s, 20.0);
    for _ in 0..11 {
        latencies.count(millis(10));
        latencies.turn(clock.turn(TURN));
    }
    assert_eq!(latencies.last_minute().latencies.len(), 111);
    // The first slot is a minute old by now.
    latencies.turn(clock.turn(TURN));
    let minute = latencies.last_minute();
    assert_eq!((minute.latencies.len(), minute.latencies.count_over(millis(100))), (11, 0));
    assert!(minute.percentiles().p99_ms.unwrap() < 11.0);
    assert_eq!(latencies.read().len(), 111);
}

#[test]
fn nothing_is_known_of_a_minute_without_requests() {
    let (latencies, mut clock) = (Latencies::default(), Clock::new());
    assert_eq!(latencies.last_minute().percentiles(), Percentiles::default());
    latencies.count(millis(1));
    latencies.turn(clock.turn(TURN));
    for _ in 0..12 {
        latencies.turn(clock.turn(TURN));
    }
    assert_eq!(latencies.last_minute().percentiles(), Percentiles::default());
}

#[test]
fn a_rate_is_that_of_the_time_that_is_known() {
    let (latencies, mut clock) = (Latencies::default(), Clock::new());
    latencies.turn(clock.turn(TURN));
    latencies.turn(clock.turn(TURN));
    (0..30).for_each(|_| latencies.count(millis(1)));
    latencies.turn(clock.turn(TURN));
    assert_eq!(latencies.last_minute().percentiles().per_s, 2.0);
    (0..20).for_each(|_| latencies.turn(clock.turn(TURN)));
    (0..30).for_each(|_| latencies.count(millis(1)));
    latencies.turn(clock.turn(TURN));
    assert_eq!(latencies.last_minute().percentiles().per_s, 0.5);
}

#[test]
fn what_is_idle_takes_no_memory() {
    let (latencies, mut clock) = (Latencies::default(), Clock::new());
    latencies.turn(clock.turn(TURN));
    assert!(latencies.window.lock().before.is_none());
    // Even those that took no time at all are something.
    latencies.count(Duration::ZERO);
    latencies.turn(clock.turn(TURN));
    assert_eq!(latencies.last_minute().latencies.len(), 1);
    (0..12).for_each(|_| latencies.turn(clock.turn(TURN)));
    assert_eq!(latencies.window.lock().slots.0.capacity(), 0);
}

#[test]
fn turns_that_come_late_or_early_keep_the_bounds() {
    let (latencies, mut clock) = (Latencies::default(), Clock::new());
    for _ in 0..100 {
        latencies.count(millis(1));
        latencies.turn(clock.turn(millis(100)));
    }
    assert_eq!(latencies.last_minute().latencies.len(), MOST_SLOTS as u64);
    latencies.count(millis(1));
    latencies.turn(clock.turn(MINUTE));
    assert_eq!(latencies.last_minute().latencies.len(), 1);
}

#[test]
fn windows_add_up() {
    let [first, second] = [(); 2].map(|()| Latencies::default());
    (0..30).for_each(|_| first.count(millis(10)));
    (0..70).for_each(|_| second.count(millis(1000)));
    let turn = Clock::new().turn(TURN);
    [&first, &second].into_iter().for_each(|latencies| latencies.turn(turn));
    let mut sum = first.last_minute();
    sum.add(&second.last_minute());
    let told = sum.percentiles();
    assert_eq!(told.per_s, 20.0);
    assert!(told.p50_ms.unwrap() > 900.0 && told.p99_ms.unwrap() > 900.0, "{told:?}");
}

#[test]
fn a_count_is_told_as_it_grew() {
    let (recent, mut clock) = (RecentCount::default(), Clock::new());
    let mut told = Vec::new();
    for count in [5, 5, 12] {
        recent.turn(count, clock.turn(TURN));
        told.push(recent.last_minute());
    }
    (0..10).for_each(|_| recent.turn(12, clock.turn(TURN)));
    told.push(recent.last_minute());
    recent.go_on_from(1000);
    recent.turn(1001, clock.turn(TURN));
    told.push(recent.last_minute());
    assert_eq!(told, [5, 5, 12, 7, 8]);
}

proptest! {
    /// A window is the sum of its slots, which all that was counted is as well.
    #[test]
    fn a_window_is_what_twelve_readings_differ_by(
        batches in prop::collection::vec(prop::collection::vec(0_u64..2_000_000, 0..20), 1..40)
    ) {
        let (latencies, mut clock) = (Latencies::default(), Clock::new());
        let mut readings = vec![Histogram::default()];
        for batch in &batches {
            batch.iter().for_each(|micros| latencies.count(Duration::from_micros(*micros)));
            latencies.turn(clock.turn(TURN));
            readings.push(latencies.read());
            let expected = latencies.read().since(&readings[(readings.len() - 1).saturating_sub(12)]);
            let minute = latencies.last_minute();
            prop_assert_eq!(minute.latencies.len(), expected.len());
            for percent in [50, 95, 99] {
                prop_assert_eq!(minute.latencies.percentile(percent), expected.percentile(percent));
            }
        }
    }
}
