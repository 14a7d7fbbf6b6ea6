use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use utoipa::ToSchema;

use crate::telemetry::{Pulse, Tally};
use crate::types::wall_time;

use super::{Live, Snapshot};

/// How the process did in each second of the last quarter of an hour, whatever it served.
#[derive(Debug)]
pub(crate) struct Series {
    samples: Mutex<VecDeque<Sample>>,
    /// How many were ever taken.
    taken: watch::Sender<u64>,
}

/// What clients were given in a second, and how many there were at its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Sample {
    /// The end of the second, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Requests that were answered, a second.
    pub(crate) requests_per_s: f64,
    /// Those of them with a status of 500 or more.
    pub(crate) errors_per_s: f64,
    /// Those with a status of 400 to 499.
    pub(crate) client_errors_per_s: f64,
    /// Those that were an error of the edge's own, whatever the status.
    pub(crate) edge_errors_per_s: f64,
    /// How long clients waited for the head of an answer; none where there was none.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// Open connections, and flows of datagrams.
    pub(crate) connections: u64,
}

/// Takes the samples.
#[derive(Debug)]
struct Sampler {
    /// Those of all configurations whose requests may still come, each with what it had counted last.
    pulses: Vec<(Arc<Pulse>, Tally)>,
    last: Instant,
}

/// How long a sample is of.
const PERIOD: Duration = Duration::from_secs(1);
/// So many are kept: 15 minutes.
const KEPT: usize = 900;

/// Takes a sample each second. Never returns.
pub(crate) async fn keep_series(live: Arc<Live>) {
    let mut sampler = Sampler::new(Instant::now());
    let mut seconds = interval_at(sampler.last + PERIOD, PERIOD);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        live.series().add(sampler.take(&live.snapshot(), Instant::now()));
    }
}

impl Default for Series {
    fn default() -> Self {
        Self { samples: Mutex::new(VecDeque::with_capacity(KEPT)), taken: watch::Sender::default() }
    }
}

impl Series {
    /// Those that are kept, the oldest first.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.since(0)
    }

    /// Those that are kept and ended after so many milliseconds since 1970, the oldest first.
    pub(crate) fn since(&self, at_ms: u64) -> Vec<Sample> {
        self.samples.lock().iter().filter(|sample| sample.at_ms > at_ms).copied().collect()
    }

    pub(crate) fn last(&self) -> Option<Sample> {
        self.samples.lock().back().copied()
    }

    /// Is told how many were taken, whenever there is another.
    pub(crate) fn taken(&self) -> watch::Receiver<u64> {
        self.taken.subscribe()
    }

    /// Goes on after those of the process before this one. What this one has taken while the other served says nothing.
    pub(crate) fn go_on(&self, earlier: Vec<Sample>) {
        let Some(last) = earlier.last().map(|sample| sample.at_ms) else { return };
        let mut samples = self.samples.lock();
        samples.retain(|sample| sample.at_ms > last);
        let room = KEPT - samples.len();
        earlier.into_iter().rev().take(room).for_each(|sample| samples.push_front(sample));
    }

    pub(crate) fn add(&self, sample: Sample) {
        {
            let mut samples = self.samples.lock();
            if samples.len() == KEPT {
                samples.pop_front();
            }
            samples.push_back(sample);
        }
        self.taken.send_modify(|taken| *taken += 1);
    }
}

impl Sampler {
    fn new(now: Instant) -> Self {
        Self { pulses: Vec::new(), last: now }
    }

    fn take(&mut self, snapshot: &Snapshot, now: Instant) -> Sample {
        let tally = self.count(&snapshot.pulse);
        let took = now.saturating_duration_since(self.last).max(Duration::from_millis(1));
        self.last = now;
        let per_s = |count: u64| places(count as f64 / took.as_secs_f64());
        let answered = tally.latencies.len();
        let percentile = |percent| {
            (answered > 0).then(|| places(tally.latencies.percentile(percent).as_secs_f64() * 1000.0))
        };
        let connections = snapshot.listeners.iter().map(|listener| listener.counts().open as u64);
        Sample {
            at_ms: milliseconds(now),
            requests_per_s: per_s(answered),
            errors_per_s: per_s(tally.errors),
            client_errors_per_s: per_s(tally.client_errors),
            edge_errors_per_s: per_s(tally.of_edge),
            p50_ms: percentile(50),
            p95_ms: percentile(95),
            p99_ms: percentile(99),
            connections: connections.sum(),
        }
    }

    /// What was counted since the last time, by requests of whatever configuration.
    fn count(&mut self, served: &Arc<Pulse>) -> Tally {
        if !self.pulses.iter().any(|(known, _)| Arc::ptr_eq(known, served)) {
            self.pulses.push((served.clone(), Tally::default()));
        }
        let mut sum = Tally::default();
        self.pulses.retain_mut(|(pulse, counted)| {
            // Looked at first: what nobody else has by then, nobody counts in any more.
            let is_used = Arc::strong_count(pulse) > 1;
            let now = pulse.tally();
            sum.add(&now.since(counted));
            *counted = now;
            is_used
        });
        sum
    }
}

/// Two places are enough.
fn places(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn milliseconds(moment: Instant) -> u64 {
    let since = wall_time(moment).duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::config::Origin;
    use crate::runtime::{Registry, assemble};

    use super::*;

    fn snapshot() -> Arc<Snapshot> {
        let text = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: {} }]\n";
        assemble(&Origin::test(text), &Registry::with_built_ins(), None).unwrap().snapshot
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_sample_is_of_what_came_since_the_one_before() {
        let now = Instant::now();
        let (snapshot, mut sampler) = (snapshot(), Sampler::new(now));
        for status in [200, 200, 404, 503] {
            snapshot.pulse.record(status, millis(20), now);
        }
        snapshot.pulse.count_of_edge();
        let first = sampler.take(&snapshot, now + millis(2000));
        assert_eq!((first.requests_per_s, first.errors_per_s, first.client_errors_per_s), (2.0, 0.5, 0.5));
        assert_eq!(first.edge_errors_per_s, 0.5, "by the time that has passed");
        let p99 = first.p99_ms.unwrap();
        assert!((19.0..21.0).contains(&p99), "{p99}");
        let second = sampler.take(&snapshot, now + millis(3000));
        assert_eq!((second.requests_per_s, second.p50_ms, second.at_ms - first.at_ms), (0.0, None, 1000));
    }

    #[test]
    fn requests_of_a_former_configuration_are_counted_until_they_have_ended() {
        let now = Instant::now();
        let (former, served) = (snapshot(), snapshot());
        let mut sampler = Sampler::new(now);
        sampler.take(&former, now + millis(1000));
        former.pulse.record(200, millis(1), now);
        served.pulse.record(200, millis(1), now);
        assert_eq!(sampler.take(&served, now + millis(2000)).requests_per_s, 2.0);
        drop(former);
        sampler.take(&served, now + millis(3000));
        assert_eq!(sampler.pulses.len(), 1);
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept() {
        let series = Series::default();
        let sample = Sampler::new(Instant::now()).take(&snapshot(), Instant::now());
        let taken = series.taken();
        (0..KEPT as u64 + 100).for_each(|at_ms| series.add(Sample { at_ms, ..sample }));
        let samples = series.samples();
        assert_eq!((samples.len(), samples[0].at_ms, *taken.borrow()), (KEPT, 100, KEPT as u64 + 100));
        let newest: Vec<_> = series.since(997).iter().map(|sample| sample.at_ms).collect();
        assert_eq!(newest, [998, 999]);
        assert_eq!(series.last().unwrap().at_ms, KEPT as u64 + 99);
    }
}
