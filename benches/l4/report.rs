use crate::{
    bars,
    compare::{
        figures::Figures,
        report::{Report, Setup},
    },
    idle,
    load::{datagrams, redis, short},
    options::Options,
    peer::Peer,
    priority::Priority,
    rows::Row,
};

/// Peers that the others are divided by.
const REFERENCES: [Peer; 2] = [Peer::Nginx, Peer::Haproxy];

/// What a run found.
pub(crate) fn of(
    options: &Options,
    priority: Priority,
    versions: &[(Peer, String)],
    figures: &Figures<Row>,
) -> Report<Row> {
    let load = format!(
        "short connections: {} clients; redis: {} connections; UDP: {} flows with {} datagrams under way each; {} \
         connections idle; {}",
        short::CLIENTS,
        redis::CONNECTIONS,
        datagrams::FLOWS,
        datagrams::WINDOW,
        idle::CONNECTIONS,
        priority.describe()
    );
    let (rounds, seconds, placement) = (options.rounds, options.seconds, options.placement);
    let setup = Setup { rounds, seconds, placement, load };
    Report::new(setup, versions, &options.rows(), &REFERENCES, figures, bars::all(figures))
}
