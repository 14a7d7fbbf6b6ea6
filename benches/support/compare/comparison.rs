use super::{
    bar::Bar,
    figures::Figures,
    report::{Report, Setup},
    words::Work,
};
use crate::support::{Outcome, frame::Bench, verdict::Verdict};

/// One of the peers that are compared by rows `R`.
type Peer<R> = <R as Work>::Peer;

/// What a run found.
#[derive(Debug)]
pub(crate) struct Found<R: Work> {
    pub(crate) figures: Figures<R>,
    /// What Evener promises, held against the figures.
    pub(crate) bars: Vec<Bar>,
    /// What makes the load, and what else the table needs to be read, for people.
    pub(crate) load: String,
}

/// What is its own of a bench that compares peers row by row.
pub(crate) trait Comparison: Bench {
    type Row: Work;

    /// Peers that the others are divided by.
    const REFERENCES: &'static [Peer<Self::Row>];

    /// The peers to compare, in the order of the table.
    fn peers(&self) -> Vec<Peer<Self::Row>>;

    /// The work to compare them by, in the order of the report.
    fn rows(&self) -> Vec<Self::Row>;

    /// What a peer says of its version, in one line.
    fn version(&self, peer: Peer<Self::Row>) -> Outcome<String>;

    /// Measures all peers.
    fn measure(&self) -> Outcome<Found<Self::Row>>;
}

/// Compares the peers, and prints and writes the report.
pub(crate) fn compare<C: Comparison>(bench: &C) -> Outcome<Vec<Verdict>> {
    let mut versions = Vec::new();
    for peer in bench.peers() {
        versions.push((peer, bench.version(peer)?));
    }
    let Found { figures, bars, load } = bench.measure()?;
    let common = bench.common();
    let setup = Setup { rounds: common.rounds, seconds: common.seconds, placement: common.placement, load };
    let report = Report::new(setup, &versions, &bench.rows(), C::REFERENCES, &figures, bars);
    print!("{}", report.text());
    println!("written to {}", common.write(&report.json()?)?.display());
    Ok(report.verdicts())
}
