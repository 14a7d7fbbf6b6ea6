use std::{collections::BTreeMap, time::Duration};

use crate::{balancer::Balancer, load::Sample, scenario::Scenario, stage::Seen, support::spread::Spread};

/// What one run found. All times are in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Of right answers, in ascending order.
    latencies: Vec<f64>,
    /// By what was wrong.
    pub(crate) faults: BTreeMap<String, usize>,
    pub(crate) seen: Seen,
    /// The p99 of how late the generator was.
    pub(crate) generator_late: f64,
    /// The p99 of how late the timers of the origins were.
    pub(crate) origins_late: f64,
}

/// All runs of one balancer in one scenario, pooled.
#[derive(Debug)]
pub(crate) struct Pooled {
    latencies: Vec<f64>,
    failed: usize,
    p99s: Vec<f64>,
    odd_shares: Vec<f64>,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    runs: BTreeMap<(Scenario, Balancer), Vec<Run>>,
    /// Runs that were thrown away because the machine was too busy.
    pub(crate) refused: usize,
}

impl Run {
    pub(crate) fn of(samples: &[Sample], seen: Seen) -> Self {
        let mut latencies = Vec::with_capacity(samples.len());
        let mut faults = BTreeMap::new();
        for sample in samples {
            match &sample.result {
                Ok(()) => latencies.push(millis(sample.latency)),
                Err(fault) => *faults.entry(fault.to_string()).or_default() += 1,
            }
        }
        Self {
            latencies: sorted(latencies),
            faults,
            generator_late: percentile(
                &sorted(samples.iter().map(|sample| millis(sample.late)).collect()),
                99.0,
            ),
            origins_late: percentile(&sorted(seen.late.iter().copied().map(millis).collect()), 99.0),
            seen,
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.latencies.len() + self.failed()
    }

    pub(crate) fn failed(&self) -> usize {
        self.faults.values().sum()
    }

    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        percentile(&self.latencies, percent)
    }

    pub(crate) fn late(&self) -> f64 {
        self.generator_late.max(self.origins_late)
    }
}

impl Pooled {
    fn of(runs: &[Run]) -> Self {
        Self {
            latencies: sorted(runs.iter().flat_map(|run| run.latencies.iter().copied()).collect()),
            failed: runs.iter().map(Run::failed).sum(),
            p99s: runs.iter().map(|run| run.percentile(99.0)).collect(),
            odd_shares: runs.iter().map(|run| run.seen.odd_share() * 100.0).collect(),
        }
    }

    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        percentile(&self.latencies, percent)
    }

    /// The p99 of each round.
    pub(crate) fn p99s(&self) -> Option<Spread> {
        Spread::of(&self.p99s)
    }

    /// Failed requests, in percent.
    pub(crate) fn errors(&self) -> f64 {
        let requests = self.latencies.len() + self.failed;
        self.failed as f64 * 100.0 / requests.max(1) as f64
    }

    /// The share of the odd origin in all attempts, in percent, of each round.
    pub(crate) fn odd_share(&self) -> Option<Spread> {
        Spread::of(&self.odd_shares)
    }

    /// The maximum of all requests, where one that failed never ended.
    pub(crate) fn longest(&self) -> f64 {
        if self.failed > 0 { f64::INFINITY } else { self.percentile(100.0) }
    }
}

impl Figures {
    pub(crate) fn add(&mut self, scenario: Scenario, balancer: Balancer, run: Run) {
        self.runs.entry((scenario, balancer)).or_default().push(run);
    }

    pub(crate) fn pooled(&self, scenario: Scenario, balancer: Balancer) -> Option<Pooled> {
        self.runs.get(&(scenario, balancer)).map(|runs| Pooled::of(runs))
    }

    /// The balancers of a scenario, in the order of its table.
    pub(crate) fn balancers(&self, scenario: Scenario) -> impl Iterator<Item = Balancer> {
        self.runs.keys().filter(move |key| key.0 == scenario).map(|key| key.1)
    }

    /// The runs of a scenario.
    pub(crate) fn runs(&self, scenario: Scenario) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |(key, _)| key.0 == scenario).flat_map(|(_, runs)| runs)
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The least value that so many percent of all are not above; not a number of none.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
