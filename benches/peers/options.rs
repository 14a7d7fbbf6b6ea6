use std::{env, path::PathBuf};

use clap::{Parser, ValueEnum};

use crate::{
    peer::Peer,
    rows::Row,
    support::{built, placement::Placement},
};

/// What to compare, for how long, and which binaries to take.
#[derive(Debug, Parser)]
#[command(name = "peers", about = "Evener beside nginx, HAProxy and a bare Pingora proxy, on loopback")]
pub(crate) struct Options {
    /// Rounds; in each every peer is measured once, in a rotated order
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Seconds of load per peer and round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Only these peers, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Peer>,
    /// Only this work, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    rows: Vec<Row>,
    /// The evener binary; also the environment's EVENER_BIN [default: the one that cargo has just built]
    #[arg(long)]
    evener: Option<PathBuf>,
    /// The example bare_pingora; also the environment's BARE_BIN [default: examples/ beside the evener binary]
    #[arg(long)]
    bare: Option<PathBuf>,
    /// Where the figures go as JSON [default: bench-peers.json in the target directory]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Which cores the processes run on
    #[arg(long, value_enum, default_value_t = Placement::Together)]
    pub(crate) placement: Placement,
    /// Given by `cargo bench`; without it nothing is measured, so that `cargo test --benches` stays short
    #[arg(long)]
    pub(crate) bench: bool,
}

impl Options {
    /// The peers to compare, in the order of the table.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        Peer::value_variants()
            .iter()
            .copied()
            .filter(|peer| self.only.is_empty() || self.only.contains(peer))
            .collect()
    }

    /// The work to compare them by, in the order of the report.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let is_wanted = |row: &Row| self.rows.is_empty() || self.rows.contains(row);
        Row::value_variants().iter().copied().filter(is_wanted).collect()
    }

    pub(crate) fn evener(&self) -> PathBuf {
        built::evener(self.evener.as_deref())
    }

    pub(crate) fn bare(&self) -> PathBuf {
        let given = self.bare.clone().or_else(|| env::var_os("BARE_BIN").map(PathBuf::from));
        given.unwrap_or_else(|| beside_evener("examples/bare_pingora"))
    }

    /// The file for the figures.
    pub(crate) fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| built::in_target_dir("bench-peers.json"))
    }
}

fn beside_evener(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_evener")).with_file_name(path)
}
