use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::runtime::Registry;

use super::SimulateError;
use super::plot;
use super::report::{Report, Row};
use super::scenario::SCENARIOS;
use super::setting::Setting;
use super::subject::{PoolKeys, Subject};

/// What to simulate.
#[derive(Clone, Debug, Args)]
pub(crate) struct SimulateArgs {
    /// What the endpoints are like, and the requests unless a file has them; --list tells what there is.
    #[arg(default_value = "uniform", hide_possible_values = true, value_parser = scenario_names())]
    pub(super) scenario: String,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Take the requests from a table: a line `arrival_ms,cost_ms` or `arrival_ms,cost_ms,key`, then one for each
    /// request. The key stands for the client and the path.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["log", "requests", "rate"])]
    pub(super) csv: Option<PathBuf>,
    /// Take the requests from a JSON access log: when they came, from whom, for what, and how long the endpoint took to
    /// the head of its answer.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["requests", "rate"])]
    pub(super) log: Option<PathBuf>,
    /// Of the access log, take the requests of this pool.
    #[arg(long, value_name = "NAME", requires = "log")]
    pub(super) log_pool: Option<String>,
    /// A policy by name, or with settings: 'ring: { key: path }'. May be given several times. Default: what the
    /// scenario compares, else all.
    #[arg(long, value_name = "POLICY")]
    pub(super) policy: Vec<String>,
    /// Further keys of the pool: '{ outlier: off, slow_start: 0, panic: 0%, max_requests: 50, queue: { size: 10 } }'.
    #[arg(long, value_name = "KEYS", default_value = "{}", hide_default_value = true, value_parser = PoolKeys::parse)]
    pool: PoolKeys,
    /// How many endpoints there are.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) endpoints: Option<u16>,
    /// How many requests an endpoint works on at once; the others wait in it.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) slots: Option<u32>,
    /// How many requests come.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) requests: Option<u32>,
    /// How many come in a second, on average.
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Where all randomness begins: the same seed, the same output.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Draw the latencies into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn scenario_names() -> PossibleValuesParser {
    PossibleValuesParser::new(SCENARIOS.iter().map(|scenario| scenario.name))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| (0.001..=1e6).contains(rate)).ok_or_else(|| "allowed: 0.001 to 1000000".to_owned())
}

/// Runs the scenario with each policy and says what came out.
pub(crate) fn run(args: &SimulateArgs, registry: &Registry) -> Result<String, SimulateError> {
    if args.list {
        return Ok(list());
    }
    let setting = Setting::of(args)?;
    let plan = setting.plan(args.seed);
    let names = setting.policies(args, registry);
    let subject = |policy: &String| Subject::new(policy, &args.pool, &plan.endpoints, registry);
    let subjects = names.iter().map(subject).collect::<Result<Vec<_>, _>>()?;
    let row = |(name, subject): (String, Subject)| {
        Row::new(name, plan.requests.len(), subject.run(&plan, args.seed))
    };
    let policies: Vec<_> = names.into_iter().zip(subjects).map(row).collect();
    if let Some(file) = &args.plot {
        write_plot(file, &setting.title(), &policies)?;
    }
    let mut notes = setting.notes(&plan);
    notes.push(format!("seed       {}", args.seed));
    notes.extend(args.pool.told().map(|keys| format!("pool       {keys}")));
    let report = Report { scenario: setting.title(), notes, policies };
    if args.json { report.json() } else { Ok(report.to_string()) }
}

fn write_plot(file: &Path, title: &str, rows: &[Row]) -> Result<(), SimulateError> {
    let failed = |error: &dyn Display| {
        SimulateError::new(format!("{}: the plot cannot be written: {error}", file.display()))
    };
    let svg = plot::draw(title, rows).map_err(|error| failed(&error))?;
    std::fs::write(file, svg).map_err(|error| failed(&error))
}

fn list() -> String {
    SCENARIOS.iter().map(|scenario| format!("{:<16} {}\n", scenario.name, scenario.about)).collect()
}
