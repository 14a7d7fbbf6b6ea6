use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::{
    peer::Peer,
    support::{built, placement::Placement},
};

/// What to compare, for how long, and which binary to take.
#[derive(Debug, Parser)]
#[command(name = "reload", about = "Reloads of Evener beside those of nginx, on loopback")]
pub(crate) struct Options {
    /// Rounds; in each every peer is measured once, in a rotated order
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Seconds that the steady client asks for without reloads, and as many with one each second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Reloads of each kind without load in each round
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reloads: u32,
    /// Only these peers, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Peer>,
    /// The evener binary; also the environment's EVENER_BIN [default: the one that cargo has just built]
    #[arg(long)]
    evener: Option<PathBuf>,
    /// Where the figures go as JSON [default: bench-reload.json in the target directory]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Which cores the processes run on
    #[arg(long, value_enum, default_value_t = Placement::Anywhere)]
    pub(crate) placement: Placement,
    /// Given by `cargo bench`; without it nothing is measured, so that `cargo test --benches` stays short
    #[arg(long)]
    pub(crate) bench: bool,
}

impl Options {
    /// The peers to compare, in the order of the table.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let is_wanted = |peer: &&Peer| self.only.is_empty() || self.only.contains(peer);
        Peer::value_variants().iter().filter(is_wanted).copied().collect()
    }

    pub(crate) fn evener(&self) -> PathBuf {
        built::evener(self.evener.as_deref())
    }

    /// The file for the figures.
    pub(crate) fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| built::in_target_dir("bench-reload.json"))
    }
}
