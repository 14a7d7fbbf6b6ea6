use crate::{
    compare::{bar::Bar, figures::Figures, words::Work},
    metric::Metric,
    peer::Peer,
    rows::Row,
};

/// What Evener promises, held against what was measured.
pub(crate) fn all(figures: &Figures<Row>) -> Vec<Bar> {
    let cpu = |row| Some(figures.ratio(row, Peer::Evener, better_peer(figures, row)?, Metric::Cpu)?.median);
    let lag = figures.ratio(Row::Redis, Peer::Haproxy, Peer::Evener, Metric::Rate);
    let idle = figures.spread(Row::Idle, Peer::Evener, Metric::Idle);
    vec![
        Bar::new("CPU per MiB, times the better peer's", 1.0, cpu(Row::Bulk)),
        Bar::new("CPU per short connection, times the better peer's", 1.2, cpu(Row::Short)),
        Bar::new("redis requests a second, HAProxy's times Evener's", 1.05, lag.map(|spread| spread.median)),
        Bar::new("CPU per datagram, times nginx's", 0.7, cpu(Row::Udp)),
        Bar::new("memory of an idle connection, KiB", 4.0, idle.map(|spread| spread.median)),
    ]
}

/// The peer that takes the least CPU for the work of `row`.
fn better_peer(figures: &Figures<Row>, row: Row) -> Option<Peer> {
    let cost = |peer| figures.spread(row, peer, Metric::Cpu).map(|spread| (spread.median, peer));
    let peers = [Peer::Nginx, Peer::Haproxy].into_iter().filter(|&peer| row.is_for(peer));
    peers.filter_map(cost).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, peer)| peer)
}
