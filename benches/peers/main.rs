//! Evener beside its peers: nginx, HAProxy and a bare Pingora proxy do the same work on loopback, in alternating
//! rounds, and are compared by CPU per request, throughput, latency and memory.
//!
//! The work, in its first row: plain HTTP/1.1 to two endpoints of one origin, connections kept alive on both sides, `X-Forwarded-For`,
//! `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Real-IP`, a new `X-Request-ID` and `Via` set on each request, one
//! worker, health checks where the peer has them, no access log. It is checked before anything is measured.
//! Each peer balances as it does by default: round robin, Evener by requests in flight. Unless `--placement` says
//! otherwise, proxy, origin and load share one core: CPU per request and added latency are then the proxy's own and
//! not the price of waking another core; requests a second are so to be read as a ratio.
//!
//! The rows over TLS are the same work behind one certificate with an ECDSA key, made for the run: handshakes alone,
//! full and resumed, HTTP/1.1, HTTP/2, and idle connections. Tickets are on everywhere; endpoints are asked in the clear.
//! Handshakes come from a client of this bench that offers one key exchange, since versions of OpenSSL differ in those
//! they know, and makes no request, whose cost would hide the handshake's. Bare Pingora has no such rows.
//!
//! One row has Evener alone, with more and more that tells of it: built so that it counts nothing, as it is, with an access log
//! in a file, and with traces of one request of a hundred besides.
//!
//! `make bench-peers` installs what is missing, builds, and runs this; `--help` tells the flags. The exit status is 0
//! when all bars are met, 1 when one is not, 2 when something could not be measured.

#![expect(clippy::disallowed_types, reason = "what is measured here is real time, outside of any runtime")]

mod bars;
mod client;
#[path = "../support/compare/mod.rs"]
mod compare;
#[path = "../support/connection.rs"]
mod connection;
#[path = "../support/cost/mod.rs"]
mod cost;
mod idle;
mod latency;
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
mod tls;
mod verify;
mod wire;

use std::process::ExitCode;

use crate::{
    compare::comparison::{Comparison, Found},
    load::{handshakes, wrk},
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

    const REFERENCES: &'static [Peer] = &[Peer::Nginx, Peer::Bare, Peer::Uncounted];

    fn peers(&self) -> Vec<Peer> {
        let mut peers = chosen(&self.only);
        peers.retain(|peer| *peer != Peer::Uncounted || self.uncounted.is_some());
        peers
    }

    fn rows(&self) -> Vec<Row> {
        chosen(&self.rows)
    }

    fn version(&self, peer: Peer) -> Outcome<String> {
        peer.version(self)
    }

    fn measure(&self) -> Outcome<Found<Row>> {
        let figures = rounds::measure(self, &Site::open(self)?)?;
        let load = format!(
            "HTTP/1.1: wrk with 1 thread and {} connections; HTTP/2: h2load with 1 thread; handshakes: {} clients",
            wrk::CONNECTIONS,
            handshakes::CLIENTS
        );
        Ok(Found { bars: bars::all(&figures), figures, load })
    }
}
