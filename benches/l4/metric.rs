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
    #[serde(rename = "idle_connection_kib")]
    Idle,
}

impl Measured for Metric {
    fn label(self, unit: &str) -> String {
        match self {
            Self::Cpu => format!("CPU, µs a {unit}"),
            Self::CpuUser => "  of it user".to_owned(),
            Self::CpuSystem => "  of it system".to_owned(),
            Self::Rate => format!("{unit}s a second"),
            Self::Idle => "memory, KiB".to_owned(),
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Rate => 0,
            Self::Cpu | Self::CpuUser | Self::CpuSystem | Self::Idle => 2,
        }
    }
}
