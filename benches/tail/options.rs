use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, value_parser};

use crate::{
    balancer::Balancer,
    scenario::Scenario,
    support::{Outcome, built, placement::Placement},
};

/// What to compare, for how long, and where the report goes.
#[derive(Debug, Parser)]
#[command(name = "tail", about = "Tail latency of Evener beside nginx and HAProxy, on loopback")]
pub(crate) struct Options {
    /// Rounds; in each every balancer has one run of each scenario, in a rotated order
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Seconds of each run
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(6..=600))]
    seconds: u32,
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
    /// The evener binary; also the environment's EVENER_BIN [default: the one that cargo has just built]
    #[arg(long)]
    evener: Option<PathBuf>,
    /// Where the report goes as Markdown [default: bench-tail.md in the target directory]
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
    /// How long a run is, without the time before its scenario begins.
    pub(crate) fn span(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
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

    pub(crate) fn evener(&self) -> PathBuf {
        built::evener(self.evener.as_deref())
    }

    /// The file for the report.
    pub(crate) fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| built::in_target_dir("bench-tail.md"))
    }

    /// What the programs of the balancers say of their versions.
    pub(crate) fn versions(&self) -> Outcome<Vec<String>> {
        let evener = self.evener();
        let mut kinds: Vec<_> = self.balancers().into_iter().map(Balancer::kind).collect();
        kinds.dedup();
        kinds.into_iter().map(|kind| kind.program(&evener).version()).collect()
    }
}

/// All variants, or the named ones, in their own order.
fn chosen<T: ValueEnum + PartialEq + Copy>(named: &[T]) -> Vec<T> {
    let all = T::value_variants().iter().copied();
    all.filter(|variant| named.is_empty() || named.contains(variant)).collect()
}
