use clap::ValueEnum;
use serde::Serialize;

use crate::{compare::words::Work, metric::Metric, peer::Peer};

/// One kind of work that the peers are compared by. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Row {
    /// HTTP/1.1 in the clear, latency and memory
    Plain,
    /// Stored answers over HTTP/1.1 in the clear
    Stored,
    /// HTTP/1.1 in the clear through Evener alone, with more and more that tells of it
    Signals,
    /// Full handshakes of TLS 1.3
    Handshake,
    /// Full handshakes with a key exchange that resists quantum computers, which only Evener knows
    HybridHandshake,
    /// Resumed handshakes of TLS 1.3
    Resumed,
    /// HTTP/1.1 over TLS, on kept-alive connections
    TlsHttp1,
    /// HTTP/2 over TLS, on one connection
    TlsHttp2One,
    /// HTTP/2 over TLS, on 20 connections
    TlsHttp2Many,
    /// Memory of connections over TLS
    TlsIdle,
}

/// What a loaded proxy is measured by.
const LOADED: [Metric; 4] = [Metric::Cpu, Metric::CpuUser, Metric::CpuSystem, Metric::Rate];
const LOADED_WITH_LATENCY: [Metric; 6] =
    [Metric::Cpu, Metric::CpuUser, Metric::CpuSystem, Metric::Rate, Metric::P50, Metric::P99];

impl Row {
    pub(crate) fn is_tls(self) -> bool {
        !matches!(self, Self::Plain | Self::Stored | Self::Signals)
    }

    /// Whether idle connections are counted.
    pub(crate) fn holds_idle(self) -> bool {
        self.metrics().contains(&Metric::Idle)
    }

    /// Whether there is load, round by round.
    pub(crate) fn is_loaded(self) -> bool {
        self.metrics().contains(&Metric::Cpu)
    }
}

impl Work for Row {
    type Peer = Peer;
    type Metric = Metric;

    fn title(self) -> &'static str {
        match self {
            Self::Plain => "HTTP/1.1 in the clear",
            Self::Stored => "stored answers, HTTP/1.1 in the clear",
            Self::Signals => "what metrics, access log and traces cost, HTTP/1.1 in the clear",
            Self::Handshake => "full TLS 1.3 handshakes, X25519",
            Self::HybridHandshake => "full TLS 1.3 handshakes, X25519MLKEM768",
            Self::Resumed => "resumed TLS 1.3 handshakes, X25519",
            Self::TlsHttp1 => "HTTP/1.1 over TLS",
            Self::TlsHttp2One => "HTTP/2 over TLS, 1 connection with 100 streams",
            Self::TlsHttp2Many => "HTTP/2 over TLS, 20 connections with 5 streams",
            Self::TlsIdle => "idle connections over TLS",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Handshake | Self::HybridHandshake | Self::Resumed => "handshake",
            _ => "request",
        }
    }

    fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Plain => &Metric::ALL,
            Self::TlsHttp1 => &LOADED_WITH_LATENCY,
            Self::TlsIdle => &[Metric::Idle],
            _ => &LOADED,
        }
    }

    fn is_for(self, peer: Peer) -> bool {
        match self {
            Self::Signals => {
                matches!(peer, Peer::Evener | Peer::Uncounted | Peer::Logged | Peer::Traced)
            }
            _ if matches!(peer, Peer::Uncounted | Peer::Logged | Peer::Traced) => false,
            Self::Plain => true,
            Self::HybridHandshake => peer == Peer::Evener,
            Self::Stored => matches!(peer, Peer::Nginx | Peer::Evener),
            _ => peer != Peer::Bare,
        }
    }
}
