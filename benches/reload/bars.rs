use crate::{
    compare::{bar::Bar, figures::Figures},
    metric::Metric,
    peer::Peer,
    rows::Row,
    support::spread::median,
};

/// What Evener promises, held against what was measured.
pub(crate) fn all(figures: &Figures<Row>) -> Vec<Bar> {
    let time = |row| figures.spread(row, Peer::Evener, Metric::TimeMs).map(|spread| spread.median);
    vec![
        Bar::new("reload with nothing changed, ms", 500.0, time(Row::Nothing)),
        Bar::new("reload with one route changed, ms", 500.0, time(Row::Route)),
        Bar::new("reload with one pool changed, ms", 500.0, time(Row::Pool)),
        Bar::new("what reloads add to p99, ms", 2.0, added(figures)),
    ]
}

/// What reloads add to p99 in a round, in the median.
fn added(figures: &Figures<Row>) -> Option<f64> {
    let p99 = |row| figures.values(row, Peer::Evener, Metric::P99Ms);
    let rounds = p99(Row::Reloads).iter().zip(p99(Row::Quiet));
    let added: Vec<f64> = rounds.map(|(with, without)| with - without).collect();
    (!added.is_empty()).then(|| median(&added))
}
