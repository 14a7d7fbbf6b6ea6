//! What it costs to put one configuration of 10 000 routes and 1 000 pools in the place of another, at Evener and at nginx.
//!
//! - *nothing*, *route*, *pool*: reloads one after the other without load, with nothing changed, the answer of one route, or the
//!   weight of one endpoint. With nginx, which does not say when it is done, the answer that shows the new configuration
//!   changes each time. Time is that from the start of `evener reload` to its end, and from the start of `nginx -s reload` to
//!   the first answer by a new worker. Processor time is that of all processes, with the ones that end, and with the command.
//! - *quiet* and *reloads*: a steady client, 1 000 requests a second on four connections, as long without reloads as with one
//!   each second, of a route and of a pool in turn. Latencies count from the instant at which a request was to be sent, or that at which
//!   the client's thread woke up for it, and each is kept. A connection that was closed while it was idle is opened anew
//!   and the request pays for it; one that is closed under a request is opened anew and the request is sent again.
//!
//! Each peer begins each round as a fresh process, alone. One worker each, no access log, no health checks, one origin with three
//! endpoints; those of other pools do not exist. Unless `--placement` says otherwise the scheduler places processes, since what
//! a reload may use is the other core; all have the same priority, for a reload would be given turns otherwise that no scheduler gives it
//! in service.
//!
//! `make bench-reload` installs what is missing, builds, and runs this; `--help` tells the flags. The exit status is 0
//! when all bars are met, 1 when one is not, 2 when something could not be measured.

#![expect(clippy::disallowed_types, reason = "what is measured here is real time, outside of any runtime")]

mod bars;
mod client;
#[path = "../support/compare/mod.rs"]
mod compare;
mod configuration;
#[path = "../support/connection.rs"]
mod connection;
mod cpu;
mod load;
#[path = "../support/message.rs"]
mod message;
mod metric;
mod options;
#[path = "../support/origin.rs"]
mod origin;
mod peer;
#[path = "../support/request.rs"]
mod request;
mod rounds;
mod rows;
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use crate::{
    compare::comparison::{Comparison, Found},
    configuration::{POOLS, ROUTES},
    load::{CONNECTIONS, RATE},
    options::Options,
    peer::Peer,
    rows::Row,
    site::Site,
    support::{Outcome, frame::run, options::chosen},
};

fn main() -> ExitCode {
    run::<Options>()
}

impl Comparison for Options {
    type Row = Row;

    const REFERENCES: &'static [Peer] = &[Peer::Nginx];

    fn peers(&self) -> Vec<Peer> {
        chosen(&self.only)
    }

    fn rows(&self) -> Vec<Row> {
        Row::ALL.to_vec()
    }

    fn version(&self, peer: Peer) -> Outcome<String> {
        peer.program(&self.common.evener()).version()
    }

    fn measure(&self) -> Outcome<Found<Row>> {
        let figures = rounds::measure(self, &Site::open(self)?)?;
        let load = format!(
            "{ROUTES} routes, {POOLS} pools; {RATE} requests a second on {CONNECTIONS} connections; {} reloads of each \
             kind without load",
            self.reloads
        );
        Ok(Found { bars: bars::all(&figures), figures, load })
    }
}
