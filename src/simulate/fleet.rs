//! What endpoints are like, and what becomes of them during a run.

use std::time::Duration;

/// The kind of a fleet of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fleet {
    /// All are the same.
    Equal,
    /// The first one takes so many times longer.
    OneSlow(u32),
    /// The first one takes so many times longer during the second quarter.
    BrownOut(u32),
    /// The first one answers every request with 503 at once.
    OneFailing,
    /// One after the other is drained, gone, and back.
    RollingRestart,
    /// Weights of 1, 1, 2, 2, 4, 4, 8, 8 and so on again, and speeds in proportion.
    Weighted,
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndpointPlan {
    pub(super) weight: u16,
    /// How much longer than usual it takes.
    pub(super) slowness: f64,
    pub(super) fails: bool,
}

/// Something that happens to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// It takes so many times longer than usual from now on.
    Slowness(f64),
    /// An operator takes it out.
    Drain,
    /// It is gone, and probes see it.
    Leave,
    /// It is there again, and probes see it.
    Return,
}

/// A change with its time and its endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimedChange {
    pub(super) at: Duration,
    pub(super) endpoint: usize,
    pub(super) change: Change,
}

const WEIGHTS: [u16; 8] = [1, 1, 2, 2, 4, 4, 8, 8];
/// So that the weighted fleet can do as much as eight endpoints of usual speed.
const MEAN_WEIGHT: f64 = 3.75;

impl Fleet {
    pub(super) fn endpoints(self, count: usize) -> Vec<EndpointPlan> {
        let usual = EndpointPlan { weight: 1, slowness: 1.0, fails: false };
        let mut endpoints = vec![usual; count];
        match self {
            Self::OneSlow(factor) => endpoints[0].slowness = factor.into(),
            Self::OneFailing => endpoints[0].fails = true,
            Self::Weighted => {
                for (endpoint, &weight) in endpoints.iter_mut().zip(WEIGHTS.iter().cycle()) {
                    *endpoint = EndpointPlan { weight, slowness: MEAN_WEIGHT / f64::from(weight), ..usual };
                }
            }
            Self::Equal | Self::BrownOut(_) | Self::RollingRestart => {}
        }
        endpoints
    }

    /// What happens in a run of that length, in the order of time.
    pub(super) fn changes(self, count: usize, length: Duration) -> Vec<TimedChange> {
        match self {
            Self::BrownOut(factor) => {
                let slowness = |at, factor| TimedChange { at, endpoint: 0, change: Change::Slowness(factor) };
                vec![slowness(length / 4, factor.into()), slowness(length / 2, 1.0)]
            }
            Self::RollingRestart => {
                (0..count).flat_map(|endpoint| restart(endpoint, count, length)).collect()
            }
            Self::Equal | Self::OneSlow(_) | Self::OneFailing | Self::Weighted => Vec::new(),
        }
    }
}

/// Each endpoint has an equal part of the run: a fifth in drain, three fifths gone, a fifth back.
fn restart(endpoint: usize, count: usize, length: Duration) -> [TimedChange; 3] {
    let part = length / count as u32;
    let begin = part * endpoint as u32;
    [(Change::Drain, begin), (Change::Leave, begin + part / 5), (Change::Return, begin + part * 4 / 5)]
        .map(|(change, at)| TimedChange { at, endpoint, change })
}
