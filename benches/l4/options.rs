use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::{
    peer::Peer,
    rows::Row,
    support::{built, placement::Placement},
};

/// What to compare, for how long, and which binary to take.
#[derive(Debug, Parser)]
#[command(name = "l4", about = "Evener's TCP and UDP beside nginx and HAProxy, on loopback")]
pub(crate) struct Options {
    /// Rounds; in each every peer is measured once, in a rotated order
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Seconds of load per peer and round
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
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
    /// Where the figures go as JSON [default: bench-l4.json in the target directory]
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
        chosen(&self.only)
    }

    /// The work to compare them by, in the order of the report.
    pub(crate) fn rows(&self) -> Vec<Row> {
        chosen(&self.rows)
    }

    pub(crate) fn evener(&self) -> PathBuf {
        built::evener(self.evener.as_deref())
    }

    /// The file for the figures.
    pub(crate) fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| built::in_target_dir("bench-l4.json"))
    }
}

/// All variants in order, or those of them that were named.
fn chosen<T: ValueEnum + PartialEq>(named: &[T]) -> Vec<T> {
    let is_wanted = |variant: &&T| named.is_empty() || named.contains(variant);
    T::value_variants().iter().filter(is_wanted).cloned().collect()
}
