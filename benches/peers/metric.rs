use serde::Serialize;

use crate::compare::words::Measured;

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
}

impl Measured for Metric {
    fn label(self, unit: &str) -> String {
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
    fn digits(self) -> usize {
        match self {
            Self::Rate | Self::P50 | Self::P99 => 0,
            _ => 1,
        }
    }
}
