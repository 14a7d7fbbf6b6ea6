use std::time::Duration;

use tokio::time::Instant;

/// Learns how many requests may be under way at once: as many as are served without queueing.
///
/// Time goes in windows. While a window's requests take as long as they do without a queue (the base), the limit grows by
/// its square root; as they take longer, it shrinks in proportion (the gradient of Netflix' and Envoy's limiters). The base
/// is the shortest window that was seen. It is measured anew once in a while, for which the limit is halved for a moment
/// where it holds requests back: what is held back leaves no queue behind, so that the time to serve alone is seen.
#[derive(Debug)]
pub(super) struct Control {
    bounds: Bounds,
    limit: f64,
    /// In seconds; `None` before the first window.
    base: Option<f64>,
    base_until: Option<Instant>,
    phase: Phase,
    window: Option<Window>,
}

/// What an operator has set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
    /// How long a window is at least.
    pub(super) sample: Duration,
    /// How long the base is believed.
    pub(super) base_for: Duration,
    /// By what part requests may take longer than the base without being held back.
    pub(super) headroom: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Following,
    /// The limit is halved, and requests that began before end.
    Draining,
    /// The limit is halved, and requests tell the base.
    Measuring,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    end: Instant,
    count: u32,
    seconds: f64,
    /// The most requests that were under way at once.
    peak: u32,
}

/// A window of fewer requests says too little and goes on.
const FEWEST: u32 = 10;
/// Where it begins, before anything is known.
const FIRST_LIMIT: f64 = 20.0;
/// A request that failed counts as if it had taken so many times the base, or longer.
const FAILURE: f64 = 2.0;
/// How much of what a window says is taken over.
const WEIGHT: f64 = 0.5;

impl Control {
    pub(super) fn new(bounds: Bounds) -> Self {
        let limit = FIRST_LIMIT.clamp(f64::from(bounds.min), f64::from(bounds.max));
        Self { bounds, limit, base: None, base_until: None, phase: Phase::Following, window: None }
    }

    /// How many requests may be under way at once.
    pub(super) fn limit(&self) -> u32 {
        let limit = if self.phase == Phase::Following { self.limit } else { self.limit / 2.0 };
        (limit as u32).clamp(self.bounds.min, self.bounds.max)
    }

    /// Takes note of a request that has been answered after `took`, while `in_flight` were under way, itself included.
    pub(super) fn answered(&mut self, took: Duration, failed: bool, in_flight: u32, now: Instant) {
        let took = took.as_secs_f64();
        let seconds = if failed { took.max(self.base.unwrap_or(took) * FAILURE) } else { took };
        let end = now + self.bounds.sample;
        let window = self.window.get_or_insert(Window { end, count: 0, seconds: 0.0, peak: 0 });
        window.count += 1;
        window.seconds += seconds;
        window.peak = window.peak.max(in_flight);
        if now >= window.end && window.count >= FEWEST {
            let window = *window;
            self.window = None;
            self.learn(window, now);
        }
    }

    fn learn(&mut self, window: Window, now: Instant) {
        let mean = (window.seconds / f64::from(window.count)).max(1e-6);
        match self.phase {
            Phase::Draining => self.phase = Phase::Measuring,
            Phase::Measuring => {
                self.phase = Phase::Following;
                self.believe(mean, now);
            }
            Phase::Following => self.follow(mean, window.peak, now),
        }
    }

    fn follow(&mut self, mean: f64, peak: u32, now: Instant) {
        let holds_back = f64::from(peak) >= self.limit.floor() * 0.9;
        match (self.base, self.base_until) {
            (Some(base), Some(until)) if now < until => self.base = Some(base.min(mean)),
            (Some(_), _) if holds_back => {
                self.phase = Phase::Draining;
                return;
            }
            // Nobody is held back, so that nobody queues either, as far as it is for this limit to say.
            _ => self.believe(mean, now),
        }
        let base = self.base.unwrap_or(mean);
        let gradient = ((1.0 + self.bounds.headroom) * base / mean).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        // A limit that is not made use of has not been shown to be too low.
        if wanted < self.limit || f64::from(peak) > self.limit / 2.0 {
            let limit = self.limit + WEIGHT * (wanted - self.limit);
            self.limit = limit.clamp(f64::from(self.bounds.min), f64::from(self.bounds.max));
        }
    }

    fn believe(&mut self, base: f64, now: Instant) {
        self.base = Some(base);
        self.base_until = Some(now + self.bounds.base_for);
    }
}

#[cfg(test)]
mod tests;
