use crate::{
    compare::{bar::Bar, figures::Figures},
    metric::Metric,
    peer::Peer,
    rows::Row,
};

/// What Evener promises, held against what was measured.
pub(crate) fn all(figures: &Figures<Row>) -> Vec<Bar> {
    let cpu =
        |row, reference| figures.ratio(row, Peer::Evener, reference, Metric::Cpu).map(|spread| spread.median);
    let own = |row, metric| figures.spread(row, Peer::Evener, metric).map(|spread| spread.median);
    let nginx = |row| cpu(row, Peer::Nginx);
    // Of two rows in the same rounds.
    let stored = figures.spread(Row::Stored, Peer::Evener, Metric::Cpu).map(|spread| spread.median);
    let proxied = figures.spread(Row::Plain, Peer::Nginx, Metric::Cpu).map(|spread| spread.median);
    let to_proxied = stored.zip(proxied).map(|(stored, proxied)| stored / proxied);
    let counted = figures.ratio(Row::Signals, Peer::Evener, Peer::Uncounted, Metric::Cpu);
    vec![
        Bar::new("CPU per request with metrics, times without", 1.03, counted.map(|spread| spread.median)),
        Bar::new("CPU per request, times bare Pingora", 1.10, cpu(Row::Plain, Peer::Bare)),
        Bar::new("CPU per request, times nginx", 1.25, nginx(Row::Plain)),
        Bar::new("added p50 latency on one connection, µs", 50.0, own(Row::Plain, Metric::Added)),
        Bar::new("memory of an idle connection, KiB", 12.0, own(Row::Plain, Metric::Idle)),
        Bar::new("CPU per stored answer, times nginx", 1.2, nginx(Row::Stored)),
        Bar::new("CPU per stored answer, times a request that nginx proxies", 0.6, to_proxied),
        Bar::new("CPU per full TLS handshake, times nginx", 0.8, nginx(Row::Handshake)),
        Bar::new("CPU per resumed TLS handshake, times nginx", 1.0, nginx(Row::Resumed)),
        Bar::new("CPU per HTTP/1.1 request over TLS, times nginx", 1.2, nginx(Row::TlsHttp1)),
        Bar::new("CPU per HTTP/2 request, 1 connection, times nginx", 1.1, nginx(Row::TlsHttp2One)),
        Bar::new("CPU per HTTP/2 request, 20 connections, times nginx", 1.1, nginx(Row::TlsHttp2Many)),
        Bar::new("memory of an idle TLS connection, KiB", 32.0, own(Row::TlsIdle, Metric::Idle)),
    ]
}
