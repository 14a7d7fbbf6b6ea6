use clap::Parser;

use crate::{
    compare::comparison::compare,
    peer::Peer,
    support::{Outcome, frame::Bench, options::Common, placement::Placement, verdict::Verdict},
};

/// What to compare, for how long, and which binary to take.
#[derive(Debug, Parser)]
#[command(name = Self::NAME, about = "Reloads of Evener beside those of nginx, on loopback")]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common<Self>,
    /// Reloads of each kind without load in each round
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reloads: u32,
    /// Only these peers, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Peer>,
}

impl Bench for Options {
    const NAME: &'static str = "reload";
    const ROUNDS: u32 = 3;
    const SECONDS: u32 = 20;
    const SECONDS_HELP: &'static str =
        "Seconds that the steady client asks for without reloads, and as many with one each second";
    const FILE: &'static str = "bench-reload.json";
    const PLACEMENT: Placement = Placement::Anywhere;

    fn common(&self) -> &Common<Self> {
        &self.common
    }

    fn compare(&self) -> Outcome<Vec<Verdict>> {
        compare(self)
    }
}
