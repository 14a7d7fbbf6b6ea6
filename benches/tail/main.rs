//! Tail latency of Evener beside nginx and HAProxy: what a policy makes of origins that are slow, stand still or fail.
//!
//! Eight real origins answer over HTTP/1.1 after a time that is scripted: exponential with a mean of 5 ms, 16 requests
//! at once, further ones wait in order. Requests come open-loop, 400 a second at the instants of a Poisson process that
//! is drawn beforehand; the latency of each counts from the instant at which it was due to the last byte of its answer,
//! whatever the number of connections it takes. Instants and costs depend on the seed, the round and the number of the
//! request alone, so that all balancers get the same requests and sampling noise cancels where they are compared.
//!
//! The balancers, each a fresh process in each run, take turns. A run begins with a second of even origins, which
//! fills connection pools and estimates; then the scenario begins and the requests count: what a balancer needs to
//! notice is in its figures. Latencies are those of right answers; failed requests are counted apart.
//!
//! Before anything is measured every balancer has to answer rightly out of all origins over kept connections, and a
//! run in which the generator or the timers of the origins were late is thrown away and repeated. Where it is allowed to,
//! the bench runs before other work on the machine, with all that it starts.
//!
//! `make bench-tail` installs what is missing, builds, and runs this; `--help` tells the flags. The exit status is 0
//! when all bars are met, 1 when one is not, 2 when something could not be measured.

#![expect(clippy::disallowed_types, reason = "what is measured here is real time, outside of any runtime")]

mod balancer;
mod bars;
mod behaviour;
mod client;
mod figures;
mod fleet;
mod load;
#[path = "../support/message.rs"]
mod message;
mod options;
mod origin;
#[path = "../support/priority.rs"]
mod priority;
mod report;
#[path = "../support/request.rs"]
mod request;
mod rounds;
mod scenario;
mod schedule;
mod site;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod timer;
mod wire;

use std::process::ExitCode;

use crate::{
    bars::Bar,
    options::Options,
    priority::Priority,
    site::Site,
    support::{Outcome, frame::run, verdict::Verdict},
};

fn main() -> ExitCode {
    run::<Options>()
}

fn compare(options: &Options) -> Outcome<Vec<Verdict>> {
    let versions = options.versions()?;
    let priority = Priority::claim()?;
    let site = Site::open(options)?;
    let figures = rounds::measure(options, &site)?;
    let bars = Bar::all(&figures);
    let text = report::markdown(options, priority, &versions, &figures, &bars);
    println!("{text}");
    eprintln!("written to {}", options.common.write(&text)?.display());
    Ok(bars.iter().map(|bar| bar.verdict).collect())
}
