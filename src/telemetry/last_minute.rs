use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::histogram::{AtomicHistogram, BucketCount, Histogram};

/// Latencies since the process began, and those of the last minute as far as somebody [turns](Self::turn) it: counting
/// costs nothing more for it.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    all: AtomicHistogram,
    window: Mutex<Window>,
}

/// What came of a count that only grows in the last minute, as far as somebody turns it.
#[derive(Debug, Default)]
pub(crate) struct RecentCount(Mutex<CountWindow>);

/// A moment at which windows are turned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The one before.
    pub(crate) since: Instant,
    pub(crate) now: Instant,
}

/// Latencies of the last minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Minute {
    latencies: Histogram,
    /// So much of the minute is known.
    known: Duration,
}

/// How long the requests of the last minute took, and how many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Percentiles {
    /// Half of them took at most so many milliseconds; none where there were none.
    pub(crate) p50_ms: Option<f64>,
    /// 95 of 100 took at most so many milliseconds.
    pub(crate) p95_ms: Option<f64>,
    /// 99 of 100 took at most so many milliseconds.
    pub(crate) p99_ms: Option<f64>,
    /// How many there were in a second.
    pub(crate) per_s: f64,
}

#[derive(Debug, Default)]
struct Window {
    /// What had been counted at the last turn; none while nothing had been.
    before: Option<Box<Histogram>>,
    slots: Slots<Box<[BucketCount]>>,
    /// When the first turn began and the last one was.
    turned: Option<(Instant, Instant)>,
}

#[derive(Debug, Default)]
struct CountWindow {
    before: u64,
    slots: Slots<u64>,
}

/// What was counted between two turns each, where it was anything: the oldest first, each with the end of its time.
#[derive(Debug)]
struct Slots<T>(VecDeque<(Instant, T)>);

/// How often windows are to be turned.
pub(crate) const TURN: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
/// However often they are turned.
const MOST_SLOTS: usize = 12;

// === Latencies ===

impl Latencies {
    pub(crate) fn count(&self, latency: Duration) {
        self.all.count(latency);
    }

    /// All since the process began.
    pub(crate) fn read(&self) -> Histogram {
        self.all.read()
    }

    /// Looks at what was counted since the last turn.
    pub(crate) fn turn(&self, turn: Turn) {
        let mut window = self.window.lock();
        let counted = window.count_since(&self.all);
        window.slots.turn(turn.now, counted);
        let begun = window.turned.map_or(turn.since, |(begun, _)| begun);
        window.turned = Some((begun, turn.now));
    }

    /// Those of the minute before the last turn.
    pub(crate) fn last_minute(&self) -> Minute {
        let window = self.window.lock();
        let known = window.turned.map(|(begun, now)| now.saturating_duration_since(begun).min(MINUTE));
        let mut minute = Minute { known: known.unwrap_or_default(), ..Minute::default() };
        window.slots.iter().for_each(|counted| minute.latencies.add_buckets(counted));
        minute
    }
}

impl Window {
    fn count_since(&mut self, all: &AtomicHistogram) -> Option<Box<[BucketCount]>> {
        match &mut self.before {
            None if all.is_empty() => None,
            Some(before) if all.is_still(before) => None,
            before => Some(all.advance(before.get_or_insert_default())).filter(|counted| !counted.is_empty()),
        }
    }
}

// === RecentCount ===

impl RecentCount {
    /// Notes what the count is by now.
    pub(crate) fn turn(&self, count: u64, turn: Turn) {
        let mut window = self.0.lock();
        let counted = count.wrapping_sub(std::mem::replace(&mut window.before, count));
        window.slots.turn(turn.now, (counted > 0).then_some(counted));
    }

    /// What the count is by now is none of the last minute's.
    pub(crate) fn go_on_from(&self, count: u64) {
        self.0.lock().before = count;
    }

    /// By how much it grew in the minute before the last turn.
    pub(crate) fn last_minute(&self) -> u64 {
        self.0.lock().slots.iter().sum()
    }
}

// === Slots ===

impl<T> Slots<T> {
    /// Forgets what is too old, and adds what was counted lately.
    fn turn(&mut self, now: Instant, counted: Option<T>) {
        self.0.extend(counted.map(|counted| (now, counted)));
        let is_old = |(at, _): &(Instant, T)| now.saturating_duration_since(*at) >= MINUTE;
        while self.0.len() > MOST_SLOTS || self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, counted)| counted)
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

// === Minute ===

impl Minute {
    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.known = self.known.max(other.known);
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let count = self.latencies.len();
        let percentile = |percent| {
            let latency = (count > 0).then(|| self.latencies.percentile(percent))?;
            Some(rounded(latency.as_secs_f64() * 1e3))
        };
        let known = self.known.as_secs_f64();
        Percentiles {
            p50_ms: percentile(50),
            p95_ms: percentile(95),
            p99_ms: percentile(99),
            per_s: if known > 0.0 { rounded(count as f64 / known) } else { 0.0 },
        }
    }
}

/// More than two places would be noise.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests;
