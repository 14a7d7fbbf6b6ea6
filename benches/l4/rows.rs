use clap::ValueEnum;
use serde::Serialize;

use crate::{compare::words::Work, metric::Metric, peer::Peer};

/// One kind of work that the peers are compared by. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Row {
    /// Eight streams of big blocks
    Bulk,
    /// A connection for each exchange of 64 bytes
    Short,
    /// redis-benchmark on 50 connections
    Redis,
    /// 50 flows of datagrams
    Udp,
    /// Flows of one datagram and one response
    Dns,
    /// Memory of connections that rest
    Idle,
}

/// What a loaded proxy is measured by.
const LOADED: [Metric; 4] = [Metric::Cpu, Metric::CpuUser, Metric::CpuSystem, Metric::Rate];

impl Row {
    pub(crate) fn is_datagrams(self) -> bool {
        matches!(self, Self::Udp | Self::Dns)
    }
}

impl Work for Row {
    type Peer = Peer;
    type Metric = Metric;

    fn title(self) -> &'static str {
        match self {
            Self::Bulk => "TCP, 8 streams of blocks of 256 KiB",
            Self::Short => "TCP, a connection for each exchange of 64 bytes",
            Self::Redis => "redis GET on 50 connections",
            Self::Udp => "UDP, 50 flows of 200 bytes",
            Self::Dns => "UDP, flows of one datagram and one response",
            Self::Idle => "idle TCP connections, to both sides",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Bulk => "MiB",
            Self::Short | Self::Idle => "connection",
            Self::Redis => "request",
            Self::Udp => "datagram",
            Self::Dns => "flow",
        }
    }

    fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Idle => &[Metric::Idle],
            _ => &LOADED,
        }
    }

    fn is_for(self, peer: Peer) -> bool {
        !(self.is_datagrams() && peer == Peer::Haproxy)
    }
}
