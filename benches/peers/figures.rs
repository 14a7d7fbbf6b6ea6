use std::collections::BTreeMap;

use serde::Serialize;

use crate::{peer::Peer, support::spread::Spread};

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
