use std::time::Duration;

use clap::Parser;

use crate::{
    balancer::Balancer,
    compare,
    scenario::Scenario,
    support::{
        Outcome,
        frame::Bench,
        options::{Common, chosen},
        placement::Placement,
        verdict::Verdict,
    },
};

/// What to compare, for how long, and where the report goes.
#[derive(Debug, Parser)]
#[command(name = Self::NAME, about = "Tail latency of Evener beside nginx and HAProxy, on loopback")]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common<Self>,
    /// Only these scenarios, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    scenarios: Vec<Scenario>,
    /// Only these balancers, separated by commas
    #[arg(long, value_delimiter = ',', value_enum)]
    balancers: Vec<Balancer>,
    /// What the instants and costs of the requests are drawn from; each round adds one
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// A run counts when the generator and the origins' timers were later than this in at most one case of a hundred,
    /// in microseconds
    #[arg(long, default_value_t = 1500)]
    max_late: u64,
}

impl Bench for Options {
    const NAME: &'static str = "tail";
    const ROUNDS_HELP: &'static str =
        "Rounds; in each every balancer has one run of each scenario, in a rotated order";
    const ROUNDS: u32 = 3;
    const SECONDS_HELP: &'static str = "Seconds of each run";
    const SECONDS: u32 = 20;
    const MIN_SECONDS: i64 = 6;
    const FILE_HELP: &'static str = "Where the report goes as Markdown";
    const FILE: &'static str = "bench-tail.md";
    const PLACEMENT: Placement = Placement::Anywhere;

    fn common(&self) -> &Common<Self> {
        &self.common
    }

    fn compare(&self) -> Outcome<Vec<Verdict>> {
        compare(self)
    }
}

impl Options {
    /// How long a run is, without the time before its scenario begins.
    pub(crate) fn span(&self) -> Duration {
        Duration::from_secs(self.common.seconds.into())
    }

    pub(crate) fn max_late(&self) -> Duration {
        Duration::from_micros(self.max_late)
    }

    /// The scenarios to run, in the order of the report.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        chosen(&self.scenarios)
    }

    /// The balancers to compare, in the order of the tables.
    pub(crate) fn balancers(&self) -> Vec<Balancer> {
        let scenarios = self.scenarios();
        let mut balancers = chosen(&self.balancers);
        balancers.retain(|balancer| scenarios.iter().any(|scenario| balancer.is_in(*scenario)));
        balancers
    }

    /// What the programs of the balancers say of their versions.
    pub(crate) fn versions(&self) -> Outcome<Vec<String>> {
        let evener = self.common.evener();
        let mut kinds: Vec<_> = self.balancers().into_iter().map(Balancer::kind).collect();
        kinds.dedup();
        kinds.into_iter().map(|kind| kind.program(&evener).version()).collect()
    }
}
