//! Queues in virtual time: so many workers, each of which serves one request after another.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;
use crate::types::Random;

const SERVICE: f64 = 0.010;

fn bounds() -> Bounds {
    Bounds {
        min: 4,
        max: 1000,
        sample: Duration::from_millis(100),
        base_for: Duration::from_secs(20),
        headroom: 0.1,
    }
}

/// Workers with one line before them, behind a limit that learns.
struct Queue {
    control: Control,
    start: Instant,
    random: Random,
    workers: usize,
    busy: usize,
    line: VecDeque<u64>,
    /// When workers are done, and when the request that each serves came, in microseconds.
    done: BinaryHeap<Reverse<(u64, u64)>>,
    now: u64,
}

/// What a stretch of time came to.
#[derive(Debug, Default)]
struct Outcome {
    served: u32,
    refused: u32,
    seconds: f64,
}

impl Outcome {
    fn latency(&self) -> f64 {
        self.seconds / f64::from(self.served)
    }
}

impl Queue {
    fn new(workers: usize, control: Control) -> Self {
        Self {
            control,
            start: Instant::now(),
            random: Random::with_seed(7),
            workers,
            busy: 0,
            line: VecDeque::new(),
            done: BinaryHeap::new(),
            now: 0,
        }
    }

    fn in_flight(&self) -> u32 {
        u32::try_from(self.busy + self.line.len()).unwrap()
    }

    /// A time with this mean, spread as those of independent events are.
    fn exponential(&mut self, mean: f64) -> u64 {
        (-(1.0 - self.random.f64()).ln() * mean * 1e6) as u64
    }

    fn begin(&mut self, came: u64) {
        self.busy += 1;
        // Half of the work is always the same.
        let takes = (SERVICE * 0.5e6) as u64 + self.exponential(SERVICE * 0.5);
        self.done.push(Reverse((self.now + takes, came)));
    }

    /// Requests come at `load` times what the workers can do, for so many seconds.
    fn run(&mut self, load: f64, seconds: u64) -> Outcome {
        let mut outcome = Outcome::default();
        let end = self.now + seconds * 1_000_000;
        let pause = SERVICE / (load * self.workers as f64);
        let mut next = self.now + self.exponential(pause);
        while self.now < end {
            match self.done.peek() {
                Some(Reverse((done, _))) if *done <= next => self.end_one(&mut outcome),
                _ => {
                    self.now = next;
                    next += self.exponential(pause);
                    if self.in_flight() >= self.control.limit() {
                        outcome.refused += 1;
                    } else if self.busy < self.workers {
                        self.begin(self.now);
                    } else {
                        self.line.push_back(self.now);
                    }
                }
            }
        }
        outcome
    }

    fn end_one(&mut self, outcome: &mut Outcome) {
        let Some(Reverse((done, came))) = self.done.pop() else { return };
        self.now = done;
        let in_flight = self.in_flight();
        self.busy -= 1;
        let took = Duration::from_micros(done - came);
        self.control.answered(took, false, in_flight, self.start + Duration::from_micros(done));
        outcome.served += 1;
        outcome.seconds += took.as_secs_f64();
        while self.busy < self.workers {
            let Some(came) = self.line.pop_front() else { return };
            self.begin(came);
        }
    }
}

/// What so many workers can do in so many seconds.
fn capacity(workers: usize, seconds: u64) -> f64 {
    workers as f64 / SERVICE * seconds as f64
}

#[test]
fn twice_the_load_leaves_goodput_and_latency_as_they_are() {
    for workers in [10, 40, 200] {
        let mut queue = Queue::new(workers, Control::new(bounds()));
        queue.run(2.0, 10);
        let outcome = queue.run(2.0, 120);
        let goodput = f64::from(outcome.served) / capacity(workers, 120);
        assert!(goodput > 0.9, "{workers} workers: {goodput:.3} of what they can do, {outcome:?}");
        assert!(outcome.latency() < 2.0 * SERVICE, "{workers} workers: {outcome:?}");
    }
}

#[test]
fn a_load_that_is_served_is_not_held_back() {
    let mut queue = Queue::new(40, Control::new(bounds()));
    queue.run(0.6, 10);
    let outcome = queue.run(0.6, 120);
    let refused = f64::from(outcome.refused) / f64::from(outcome.served);
    assert!(refused < 0.001, "{outcome:?}");
}

#[test]
fn it_follows_when_workers_go_and_come_back() {
    let mut queue = Queue::new(100, Control::new(bounds()));
    queue.run(1.5, 20);
    for workers in [30, 100] {
        let load = 1.5 * 100.0 / workers as f64;
        queue.workers = workers;
        queue.run(load, 20);
        let outcome = queue.run(load, 60);
        let goodput = f64::from(outcome.served) / capacity(workers, 60);
        assert!(goodput > 0.9, "{workers} workers: {goodput:.3}");
        assert!(outcome.latency() < 2.0 * SERVICE, "{workers} workers: {outcome:?}");
    }
}

#[test]
fn the_base_does_not_creep_up_under_lasting_load() {
    let mut queue = Queue::new(40, Control::new(bounds()));
    queue.run(3.0, 600);
    let outcome = queue.run(3.0, 60);
    assert!(outcome.latency() < 2.0 * SERVICE, "{outcome:?}");
}

#[test]
fn failures_count_as_slow_and_the_bounds_hold() {
    let mut control = Control::new(Bounds { min: 5, max: 30, ..bounds() });
    let start = Instant::now();
    let mut at = 0;
    let mut answer = |control: &mut Control, failed| {
        for _ in 0..1000 {
            at += 5;
            let now = start + Duration::from_millis(at);
            control.answered(Duration::from_millis(10), failed, control.limit(), now);
        }
    };
    assert_eq!(control.limit(), 20);
    answer(&mut control, false);
    assert_eq!(control.limit(), 30);
    answer(&mut control, true);
    assert_eq!(control.limit(), 5);
    answer(&mut control, false);
    assert_eq!(control.limit(), 30);
}
