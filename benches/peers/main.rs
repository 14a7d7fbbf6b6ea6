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
//! `make bench-peers` installs what is missing, builds, and runs this; `--help` tells the flags. The exit status is 0
//! when all bars are met, 1 when one is not, 2 when something could not be measured.

#![expect(clippy::disallowed_types, reason = "what is measured here is real time, outside of any runtime")]

mod bars;
mod client;
#[path = "../support/compare/mod.rs"]
mod compare;
#[path = "../support/connection.rs"]
mod connection;
mod idle;
mod latency;
mod load;
#[path = "../support/message.rs"]
mod message;
mod metric;
mod options;
mod peer;
mod report;
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
    options::Options,
    site::Site,
    support::{
        Outcome, allow_open_files,
        verdict::{Verdict, run},
    },
};
use clap::Parser;

fn main() -> ExitCode {
    let options = Options::parse();
    run("peers", options.bench, || compare(&options))
}

fn compare(options: &Options) -> Outcome<Vec<Verdict>> {
    allow_open_files()?;
    let peers = options.peers();
    let mut versions = Vec::new();
    for &peer in &peers {
        versions.push((peer, peer.version(options)?));
    }
    let site = Site::open(options.placement)?;
    let figures = rounds::measure(options, &peers, &site)?;
    let report = report::of(options, &versions, &figures);
    print!("{}", report.text());
    report.write(&options.out())?;
    println!("written to {}", options.out().display());
    Ok(report.bars().iter().map(|bar| bar.verdict).collect())
}
