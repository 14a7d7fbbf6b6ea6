use serde::Serialize;

use crate::compare::words::Measured;

/// One thing that is measured. The order is the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    TimeMs,
    TookMs,
    CpuMs,
    P50Ms,
    P99Ms,
    P999Ms,
    MaxMs,
    Closed,
    Broken,
    MemoryBeforeMib,
    MemoryAfterMib,
    Processes,
}

impl Measured for Metric {
    fn label(self, unit: &str) -> String {
        match self {
            Self::TimeMs => format!("time of a {unit}, ms"),
            Self::TookMs => "  as Evener says, ms".to_owned(),
            Self::CpuMs => format!("CPU of a {unit}, ms"),
            Self::P50Ms => "latency p50, ms".to_owned(),
            Self::P99Ms => "latency p99, ms".to_owned(),
            Self::P999Ms => "latency p99.9, ms".to_owned(),
            Self::MaxMs => "latency maximum, ms".to_owned(),
            Self::Closed => "connections closed idle".to_owned(),
            Self::Broken => "closed under a request".to_owned(),
            Self::MemoryBeforeMib => "memory before, MiB".to_owned(),
            Self::MemoryAfterMib => "memory after, MiB".to_owned(),
            Self::Processes => "processes after".to_owned(),
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::P50Ms | Self::P99Ms | Self::P999Ms => 2,
            Self::TimeMs
            | Self::TookMs
            | Self::CpuMs
            | Self::MaxMs
            | Self::MemoryBeforeMib
            | Self::MemoryAfterMib => 1,
            Self::Closed | Self::Broken | Self::Processes => 0,
        }
    }
}
