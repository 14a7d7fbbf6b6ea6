use std::{env, path::PathBuf};

use clap::Parser;

use crate::{
    compare::comparison::compare,
    peer::Peer,
    rows::Row,
    support::{Outcome, frame::Bench, options::Common, placement::Placement, verdict::Verdict},
};

/// What to compare, for how long, and which binaries to take.
#[derive(Debug, Parser)]
#[command(name = Self::NAME, about = "Evener beside nginx, HAProxy and a bare Pingora proxy, on loopback")]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common<Self>,
    /// Only these peers, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Peer>,
    /// Only this work, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) rows: Vec<Row>,
    // In the help it follows the evener binary.
    /// The example bare_pingora; also the environment's BARE_BIN [default: examples/ beside the evener binary]
    #[arg(long, display_order = 101)]
    bare: Option<PathBuf>,
    /// An evener binary that counts nothing, built with EVENER_UNCOUNTED=1 [default: none, which leaves it out]
    #[arg(long, display_order = 101)]
    pub(crate) uncounted: Option<PathBuf>,
}

impl Options {
    pub(crate) fn bare(&self) -> PathBuf {
        let given = self.bare.clone().or_else(|| env::var_os("BARE_BIN").map(PathBuf::from));
        given.unwrap_or_else(|| beside_evener("examples/bare_pingora"))
    }
}

impl Bench for Options {
    const NAME: &'static str = "peers";
    const ROUNDS: u32 = 5;
    const SECONDS: u32 = 5;
    const FILE: &'static str = "bench-peers.json";
    const PLACEMENT: Placement = Placement::Together;

    fn common(&self) -> &Common<Self> {
        &self.common
    }

    fn compare(&self) -> Outcome<Vec<Verdict>> {
        compare(self)
    }
}

fn beside_evener(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_evener")).with_file_name(path)
}
