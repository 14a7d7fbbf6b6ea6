use std::process::ExitCode;

use serde::Serialize;

use super::Outcome;

/// Whether a bar is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// What it needs was not measured.
    Skip,
}

impl Verdict {
    /// Holds a value, where there is one, against its limit.
    pub(crate) fn of(value: Option<f64>, is_met: impl FnOnce(f64) -> bool) -> Self {
        match value.map(is_met) {
            Some(true) => Self::Pass,
            Some(false) => Self::Fail,
            None => Self::Skip,
        }
    }
}

/// What a bench comes to. Without `--bench`, which cargo gives, it measures nothing, so that `cargo test --benches`
/// stays short.
pub(crate) fn run(name: &str, is_bench: bool, compare: impl FnOnce() -> Outcome<Vec<Verdict>>) -> ExitCode {
    if !is_bench {
        println!("nothing is measured without --bench, which `cargo bench --bench {name}` gives");
        return ExitCode::SUCCESS;
    }
    exit_code(&format!("bench-{name}"), compare())
}

/// 0 when no bar is missed, 1 when one is, 2 when something could not be measured.
fn exit_code(bench: &str, verdicts: Outcome<Vec<Verdict>>) -> ExitCode {
    match verdicts {
        Ok(verdicts) if verdicts.contains(&Verdict::Fail) => ExitCode::from(1),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{bench}: {error}");
            ExitCode::from(2)
        }
    }
}
