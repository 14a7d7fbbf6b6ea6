use std::collections::BTreeMap;

use serde::Serialize;

use crate::peer::Peer;

/// One thing that is measured. The order is the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Metric {
    #[serde(rename = "cpu_us_per_request")]
    Cpu,
    #[serde(rename = "cpu_user_us_per_request")]
    CpuUser,
    #[serde(rename = "cpu_system_us_per_request")]
    CpuSystem,
    #[serde(rename = "requests_per_second")]
    Rate,
    #[serde(rename = "latency_p50_us")]
    P50,
    #[serde(rename = "latency_p99_us")]
    P99,
    #[serde(rename = "added_latency_p50_us")]
    Added,
    #[serde(rename = "resident_mib")]
    Resident,
    #[serde(rename = "idle_connection_kib")]
    Idle,
}

impl Metric {
    pub(crate) const ALL: [Self; 9] = [
        Self::Cpu,
        Self::CpuUser,
        Self::CpuSystem,
        Self::Rate,
        Self::P50,
        Self::P99,
        Self::Added,
        Self::Resident,
        Self::Idle,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Cpu => "CPU, µs a request",
            Self::CpuUser => "  of it user",
            Self::CpuSystem => "  of it system",
            Self::Rate => "requests a second",
            Self::P50 => "latency p50, µs, 50 conn.",
            Self::P99 => "latency p99, µs, 50 conn.",
            Self::Added => "added p50, µs, 1 conn.",
            Self::Resident => "memory, MiB",
            Self::Idle => "idle connection, KiB",
        }
    }
}

/// A median with the lowest and the highest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let min = values.iter().copied().reduce(f64::min)?;
        let max = values.iter().copied().reduce(f64::max)?;
        Some(Self { median: median(values), min, max })
    }
}

/// All values of all peers: one per round, or one alone for what is measured once.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    series: BTreeMap<(Peer, Metric), Vec<f64>>,
}

impl Figures {
    pub(crate) fn add(&mut self, peer: Peer, metric: Metric, value: f64) {
        self.series.entry((peer, metric)).or_default().push(value);
    }

    pub(crate) fn values(&self, peer: Peer, metric: Metric) -> &[f64] {
        self.series.get(&(peer, metric)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn spread(&self, peer: Peer, metric: Metric) -> Option<Spread> {
        Spread::of(self.values(peer, metric))
    }

    /// The spread of `peer` divided by `reference`, round by round: what slows a whole round down falls out.
    pub(crate) fn ratio(&self, peer: Peer, reference: Peer, metric: Metric) -> Option<Spread> {
        let pairs = self.values(peer, metric).iter().zip(self.values(reference, metric));
        let ratios: Vec<f64> =
            pairs.map(|(value, base)| value / base).filter(|ratio| ratio.is_finite()).collect();
        Spread::of(&ratios)
    }
}

/// The middle value, the mean of the middle two, or 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    f64::midpoint(lower, upper)
}
