use crate::{
    bars,
    compare::{
        figures::Figures,
        report::{Report, Setup},
    },
    load::{handshakes, wrk},
    options::Options,
    peer::Peer,
    rows::Row,
};

/// Peers that the others are divided by.
const REFERENCES: [Peer; 2] = [Peer::Nginx, Peer::Bare];

/// What a run found.
pub(crate) fn of(options: &Options, versions: &[(Peer, String)], figures: &Figures<Row>) -> Report<Row> {
    let load = format!(
        "HTTP/1.1: wrk with 1 thread and {} connections; HTTP/2: h2load with 1 thread; handshakes: {} clients",
        wrk::CONNECTIONS,
        handshakes::CLIENTS
    );
    let (rounds, seconds, placement) = (options.rounds, options.seconds, options.placement);
    let setup = Setup { rounds, seconds, placement, load };
    Report::new(setup, versions, &options.rows(), &REFERENCES, figures, bars::all(figures))
}
