//! Evener's layer 4 beside nginx's `stream` and HAProxy's `mode tcp`: they carry the same bytes on loopback, in alternating
//! rounds, and are compared by CPU per unit of work and by memory.
//!
//! - *bulk*: eight streams of blocks of 256 KiB, four towards the endpoint and four back; a unit is a MiB.
//! - *short*: connect, send 64 bytes, get them back, close; four endpoints.
//! - *redis*: `redis-benchmark -t get -c 50` through each to one redis-server; requests a second as well as CPU.
//! - *udp*: 50 flows, each with a few datagrams of 200 bytes under way; a unit is a datagram there and back. HAProxy has no UDP.
//! - *dns*: flows of one datagram and one response, each from a socket of its own.
//! - *idle*: connections that have carried one exchange, each with its connection to the endpoint.
//!
//! Endpoints and load, other than those of redis, are threads of this process. They are made cheap (batched datagrams, bytes that
//! are thrown away by the kernel) since whatever they take, the proxy does not get. One worker each, no access log, no
//! health checks; HAProxy splices (`option splice-auto`). Unless `--placement` says otherwise, proxy, endpoints and load share
//! one core, as in the bench `peers`: units a second are so to be read as a ratio. Before anything is measured every
//! way through every proxy has to carry bytes whole. An end of one direction is passed on alone in *bulk*; in *short* nginx closes
//! both at once, which is its default and less work than the others do. Where it is allowed to, the bench runs before other
//! work on the machine, with all that it starts.
//!
//! `make bench-l4` installs what is missing, builds, and runs this; `--help` tells the flags. The exit status is 0
//! when all bars are met, 1 when one is not, 2 when something could not be measured.

#![expect(clippy::disallowed_types, reason = "what is measured here is real time, outside of any runtime")]

mod bars;
#[path = "../support/compare/mod.rs"]
mod compare;
#[path = "../support/cost/mod.rs"]
mod cost;
mod endpoints;
mod exchange;
mod idle;
mod load;
mod metric;
mod options;
mod peer;
#[path = "../support/priority.rs"]
mod priority;
mod rounds;
mod rows;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod verify;

use std::process::ExitCode;

use crate::{
    compare::comparison::{Comparison, Found},
    load::{datagrams, redis, short},
    options::Options,
    peer::Peer,
    priority::Priority,
    rows::Row,
    site::Site,
    support::{Outcome, frame::run, options::chosen},
};

fn main() -> ExitCode {
    run::<Options>()
}

impl Comparison for Options {
    type Row = Row;

    const REFERENCES: &'static [Peer] = &[Peer::Nginx, Peer::Haproxy];

    fn peers(&self) -> Vec<Peer> {
        chosen(&self.only)
    }

    fn rows(&self) -> Vec<Row> {
        chosen(&self.rows)
    }

    fn version(&self, peer: Peer) -> Outcome<String> {
        peer.version(self)
    }

    fn measure(&self) -> Outcome<Found<Row>> {
        let priority = Priority::claim()?;
        let figures = rounds::measure(self, &Site::open(self)?)?;
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
        Ok(Found { bars: bars::all(&figures), figures, load })
    }
}
