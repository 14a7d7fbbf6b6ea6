use crate::{
    bars,
    compare::{
        figures::Figures,
        report::{Report, Setup},
    },
    configuration::{POOLS, ROUTES},
    load::{CONNECTIONS, RATE},
    options::Options,
    peer::Peer,
    rows::Row,
};

/// What a run found.
pub(crate) fn of(options: &Options, versions: &[(Peer, String)], figures: &Figures<Row>) -> Report<Row> {
    let load = format!(
        "{ROUTES} routes, {POOLS} pools; {RATE} requests a second on {CONNECTIONS} connections; {} reloads of each kind \
         without load",
        options.reloads
    );
    let (rounds, seconds, placement) = (options.rounds, options.seconds, options.placement);
    let setup = Setup { rounds, seconds, placement, load };
    Report::new(setup, versions, &Row::ALL, &[Peer::Nginx], figures, bars::all(figures))
}
