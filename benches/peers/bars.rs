use serde::Serialize;

use crate::{
    figures::{Figures, Metric},
    peer::Peer,
    rows::Row,
    support::verdict::Verdict,
};

/// What Evener promises: a figure that may not be above its limit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bar {
    what: &'static str,
    limit: f64,
    /// `None` when what it needs was not measured.
    value: Option<f64>,
    pub(crate) verdict: Verdict,
}

impl Bar {
    fn new(what: &'static str, limit: f64, value: Option<f64>) -> Self {
        let verdict = Verdict::of(value, |value| value <= limit);
        Self { what, limit, value, verdict }
    }

    /// All bars, held against what was measured.
    pub(crate) fn all(figures: &Figures) -> Vec<Self> {
        let cpu = |row, reference| {
            figures.ratio(row, Peer::Evener, reference, Metric::Cpu).map(|spread| spread.median)
        };
        let own = |row, metric| figures.spread(row, Peer::Evener, metric).map(|spread| spread.median);
        let nginx = |row| cpu(row, Peer::Nginx);
        vec![
            Self::new("CPU per request, times bare Pingora", 1.10, cpu(Row::Plain, Peer::Bare)),
            Self::new("CPU per request, times nginx", 1.25, nginx(Row::Plain)),
            Self::new("added p50 latency on one connection, µs", 50.0, own(Row::Plain, Metric::Added)),
            Self::new("memory of an idle connection, KiB", 12.0, own(Row::Plain, Metric::Idle)),
            Self::new("CPU per full TLS handshake, times nginx", 0.8, nginx(Row::Handshake)),
            Self::new("CPU per resumed TLS handshake, times nginx", 1.0, nginx(Row::Resumed)),
            Self::new("CPU per HTTP/1.1 request over TLS, times nginx", 1.2, nginx(Row::TlsHttp1)),
            Self::new("CPU per HTTP/2 request, 1 connection, times nginx", 1.1, nginx(Row::TlsHttp2One)),
            Self::new("CPU per HTTP/2 request, 20 connections, times nginx", 1.1, nginx(Row::TlsHttp2Many)),
            Self::new("memory of an idle TLS connection, KiB", 32.0, own(Row::TlsIdle, Metric::Idle)),
        ]
    }

    pub(crate) fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "SKIP",
        };
        let value = self.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
        format!("{verdict}  {}: {value} (at most {:.2})", self.what, self.limit)
    }
}
