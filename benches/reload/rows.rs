use serde::Serialize;

use crate::{compare::words::Work, metric::Metric, peer::Peer};

/// One kind of work that the peers are compared by. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Row {
    Nothing,
    Route,
    Pool,
    Quiet,
    Reloads,
}

impl Row {
    pub(crate) const ALL: [Self; 5] = [Self::Nothing, Self::Route, Self::Pool, Self::Quiet, Self::Reloads];
    /// Kinds of reloads.
    pub(crate) const CHANGES: [Self; 3] = [Self::Nothing, Self::Route, Self::Pool];
}

impl Work for Row {
    type Peer = Peer;
    type Metric = Metric;

    fn title(self) -> &'static str {
        match self {
            Self::Nothing => "reload, nothing changed",
            Self::Route => "reload, one route changed",
            Self::Pool => "reload, one pool changed",
            Self::Quiet => "steady client, without reloads",
            Self::Reloads => "steady client, with a reload each second",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Nothing | Self::Route | Self::Pool => "reload",
            Self::Quiet | Self::Reloads => "request",
        }
    }

    fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Nothing | Self::Route | Self::Pool => &[Metric::TimeMs, Metric::TookMs, Metric::CpuMs],
            Self::Quiet => &[Metric::P50Ms, Metric::P99Ms, Metric::P999Ms, Metric::MaxMs],
            Self::Reloads => &[
                Metric::P50Ms,
                Metric::P99Ms,
                Metric::P999Ms,
                Metric::MaxMs,
                Metric::Closed,
                Metric::Broken,
                Metric::MemoryBeforeMib,
                Metric::MemoryAfterMib,
                Metric::Processes,
            ],
        }
    }

    fn is_for(self, _: Peer) -> bool {
        true
    }
}
