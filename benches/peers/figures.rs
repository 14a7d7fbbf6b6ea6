use std::collections::BTreeMap;

use serde::Serialize;

use crate::{peer::Peer, rows::Row, support::spread::Spread};

/// One thing that is measured. The order is the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Metric {
    #[serde(rename = "cpu_us")]
    Cpu,
    #[serde(rename = "cpu_user_us")]
    CpuUser,
    #[serde(rename = "cpu_system_us")]
    CpuSystem,
    #[serde(rename = "per_second")]
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

    /// What the table calls it, where `unit` is what is counted.
    pub(crate) fn label(self, unit: &str) -> String {
        match self {
            Self::Cpu => format!("CPU, µs a {unit}"),
            Self::CpuUser => "  of it user".to_owned(),
            Self::CpuSystem => "  of it system".to_owned(),
            Self::Rate => format!("{unit}s a second"),
            Self::P50 => "latency p50, µs, 50 conn.".to_owned(),
            Self::P99 => "latency p99, µs, 50 conn.".to_owned(),
            Self::Added => "added p50, µs, 1 conn.".to_owned(),
            Self::Resident => "memory, MiB".to_owned(),
            Self::Idle => "idle connection, KiB".to_owned(),
        }
    }
}

/// All values of all peers in all rows: one per round, or one alone for what is measured once.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    series: BTreeMap<(Row, Peer, Metric), Vec<f64>>,
}

impl Figures {
    pub(crate) fn add(&mut self, row: Row, peer: Peer, metric: Metric, value: f64) {
        self.series.entry((row, peer, metric)).or_default().push(value);
    }

    pub(crate) fn values(&self, row: Row, peer: Peer, metric: Metric) -> &[f64] {
        self.series.get(&(row, peer, metric)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn spread(&self, row: Row, peer: Peer, metric: Metric) -> Option<Spread> {
        Spread::of(self.values(row, peer, metric))
    }

    /// The spread of `peer` divided by `reference`, round by round: what slows a whole round down falls out.
    pub(crate) fn ratio(&self, row: Row, peer: Peer, reference: Peer, metric: Metric) -> Option<Spread> {
        let pairs = self.values(row, peer, metric).iter().zip(self.values(row, reference, metric));
        let ratios: Vec<f64> =
            pairs.map(|(value, base)| value / base).filter(|ratio| ratio.is_finite()).collect();
        Spread::of(&ratios)
    }
}
