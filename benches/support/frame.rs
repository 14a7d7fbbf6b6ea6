use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Outcome, options::Common, placement::Placement, verdict::Verdict};

/// What is a bench's own. It is the bench's flags that know it.
pub(crate) trait Bench: Parser {
    /// What cargo calls it.
    const NAME: &'static str;

    /// What `--rounds` is for.
    const ROUNDS_HELP: &'static str = "Rounds; in each every peer is measured once, in a rotated order";
    /// How many there are unless `--rounds` says otherwise.
    const ROUNDS: u32;

    /// What `--seconds` is for.
    const SECONDS_HELP: &'static str = "Seconds of load per peer and round";
    /// How many there are unless `--seconds` says otherwise.
    const SECONDS: u32;
    /// How few still measure anything.
    const MIN_SECONDS: i64 = 1;

    /// What `--out` is for.
    const FILE_HELP: &'static str = "Where the figures go as JSON";
    /// The file in the target directory that is written unless `--out` names another.
    const FILE: &'static str;

    /// Which cores the processes run on unless `--placement` says otherwise.
    const PLACEMENT: Placement;

    /// What all benches can be told.
    fn common(&self) -> &Common<Self>;

    /// Measures, and prints and writes the report.
    fn compare(&self) -> Outcome<Vec<Verdict>>;
}

/// Runs a bench as the command line says. Without `--bench`, which cargo gives, it measures nothing, so that
/// `cargo test --benches` stays short.
pub(crate) fn run<B: Bench>() -> ExitCode {
    let bench = B::parse();
    if !bench.common().bench {
        println!("nothing is measured without --bench, which `cargo bench --bench {}` gives", B::NAME);
        return ExitCode::SUCCESS;
    }
    exit_code(B::NAME, allow_open_files().and_then(|()| bench.compare()))
}

/// Raises the limit of open files to what is allowed, here and for the children: connections need thousands.
fn allow_open_files() -> Outcome<()> {
    let allowed = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, maximum: allowed.maximum })?)
}

/// 0 when no bar is missed, 1 when one is, 2 when something could not be measured.
fn exit_code(bench: &str, verdicts: Outcome<Vec<Verdict>>) -> ExitCode {
    match verdicts {
        Ok(verdicts) if verdicts.contains(&Verdict::Fail) => ExitCode::from(1),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-{bench}: {error}");
            ExitCode::from(2)
        }
    }
}
