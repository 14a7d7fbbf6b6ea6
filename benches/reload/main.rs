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
mod peer;
mod report;
#[path = "../support/request.rs"]
mod request;
mod rounds;
mod rows;
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    options::Options,
    site::Site,
    support::{
        Outcome, allow_open_files,
        verdict::{Verdict, run},
    },
};

fn main() -> ExitCode {
    let options = Options::parse();
    run("reload", options.bench, || compare(&options))
}

fn compare(options: &Options) -> Outcome<Vec<Verdict>> {
    allow_open_files()?;
    let mut versions = Vec::new();
    for peer in options.peers() {
        versions.push((peer, peer.program(&options.evener()).version()?));
    }
    let site = Site::open(options.placement)?;
    let figures = rounds::measure(options, &site)?;
    let report = report::of(options, &versions, &figures);
    print!("{}", report.text());
    report.write(&options.out())?;
    println!("written to {}", options.out().display());
    Ok(report.bars().iter().map(|bar| bar.verdict).collect())
}
