use clap::Parser;

use crate::{
    compare::comparison::compare,
    peer::Peer,
    rows::Row,
    support::{Outcome, frame::Bench, options::Common, placement::Placement, verdict::Verdict},
};

/// What to compare, for how long, and which binary to take.
#[derive(Debug, Parser)]
#[command(name = Self::NAME, about = "Evener's TCP and UDP beside nginx and HAProxy, on loopback")]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common<Self>,
    /// Only these peers, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Peer>,
    /// Only this work, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) rows: Vec<Row>,
}

impl Bench for Options {
    const NAME: &'static str = "l4";
    const ROUNDS: u32 = 5;
    const SECONDS: u32 = 2;
    const FILE: &'static str = "bench-l4.json";
    const PLACEMENT: Placement = Placement::Together;

    fn common(&self) -> &Common<Self> {
        &self.common
    }

    fn compare(&self) -> Outcome<Vec<Verdict>> {
        compare(self)
    }
}
