use std::time::Duration;

use clap::Args;

use crate::control::{Command, Reply, status_table};
use crate::runtime;
use crate::types::Span;

use super::output::{line_of_json, print, print_json, width};
use super::process::Process;
use super::unexpected;
use super::watch::watch;

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    process: Process,
    /// Print JSON, for programs. With `--watch` an object a line.
    #[arg(long)]
    json: bool,
    /// Tell it again and again, every so many seconds, until the command is interrupted. In a terminal each takes the place of
    /// the one before. At least 0.1. Default: 2.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = pause
    )]
    watch: Option<Duration>,
    /// The pool to tell of. Default: all.
    #[arg(value_name = "POOL")]
    pool: Option<String>,
}

/// `2`, `0.5` or `500ms`.
fn pause(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(100);
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let pause = match seconds {
        Some(seconds) => seconds,
        None => text.parse::<Span>().map_err(|error| error.to_string())?.get(),
    };
    if pause < least { Err(format!("`{text}` is too short; give 0.1 or more")) } else { Ok(pause) }
}

impl Status {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, json, watch: every, pool } = self;
        let ask = move || match process.ask(&Command::Status { pool: pool.clone() }, |_| ())? {
            Reply::Status(status) => Ok(*status),
            _ => Err(unexpected()),
        };
        let Some(every) = every else {
            let status = ask()?;
            return if json { print_json(&status) } else { print(status_table(&status, width())) };
        };
        let show = move |status: runtime::Status| match json {
            true => line_of_json(&status),
            false => Ok(status_table(&status, width())),
        };
        watch(every, !json, move || show(ask()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_number_of_seconds_or_has_a_unit() {
        assert_eq!(pause("2"), Ok(Duration::from_secs(2)));
        assert_eq!(
            (pause("0.5"), pause("500ms")),
            (Ok(Duration::from_millis(500)), Ok(Duration::from_millis(500)))
        );
        for text in ["0", "0.05", "-1", "x", "NaN", "inf", "50ms", ""] {
            assert!(pause(text).is_err(), "{text}");
        }
    }
}
