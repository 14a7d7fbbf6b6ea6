use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::app::{App, AppBuilder};
use crate::config;
use crate::control::{Command, Reply};
use crate::runtime::{Replay, Replayed, Side};
use crate::telemetry::read_lines;

use super::output::{fail, print, print_json, tell};
use super::process::Process;
use super::{load, unexpected};

/// The exit codes of diff(1).
const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The configuration that might come.
    #[arg(short, long, value_name = "NEW")]
    config: PathBuf,
    /// The configuration that it would replace. Default: what the process that runs by it serves at this moment.
    #[arg(long, value_name = "OLD", conflicts_with = "socket")]
    against: Option<PathBuf>,
    /// The control socket of the process to compare with. Default: the one that the configuration names.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Also tell which requests of this access log would take another route, other filters or another pool.
    #[arg(long, value_name = "LOG")]
    replay: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// What is printed for programs.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    diff: config::Diff,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Replayed>,
}

impl Diff {
    pub(super) fn run(self, builder: &AppBuilder) -> Result<(), u8> {
        let Self { config, against, socket, replay, json } = self;
        let new = load(builder, &config);
        let (old, new) = match against {
            // Both before the first error ends it, so that all problems are told.
            Some(against) => (load(builder, &against)?, new?),
            None => {
                let new = new?;
                (served(builder, &Process::named(socket, &config))?, new)
            }
        };
        let (old, new) = (old.side(), new.side());
        let diff = config::diff(old.outline, new.outline);
        let ask = |log: &PathBuf| {
            replayed(log, old, new).map_err(|error| {
                fail(format_args!("{}: {error}", log.display()));
                TROUBLE
            })
        };
        let replay = replay.as_ref().map(ask).transpose()?;
        let told = Told { diff, replay };
        if json {
            print_json(&told)
        } else {
            let replay = told.replay.as_ref().map(Replayed::to_string).unwrap_or_default();
            print(format_args!("{}{replay}", told.diff))
        }
        .map_err(|_| TROUBLE)?;
        if told.diff.is_empty() { Ok(()) } else { Err(DIFFERENT) }
    }
}

/// What a process serves.
fn served(builder: &AppBuilder, process: &Process) -> Result<App, u8> {
    match process.ask(&Command::Served {}, |_| ()).map_err(|_| TROUBLE)? {
        Reply::Served(origin) => builder.load_from(origin).map_err(|error| {
            tell(&error);
            fail("what the process serves is refused here; use the `evener` that it was started with");
            TROUBLE
        }),
        _ => {
            unexpected();
            Err(TROUBLE)
        }
    }
}

fn replayed(log: &Path, old: Side<'_>, new: Side<'_>) -> io::Result<Replayed> {
    let mut replay = Replay::new(old, new);
    for line in read_lines(BufReader::new(File::open(log)?)) {
        let (number, line) = line?;
        replay.add(number, line);
    }
    Ok(replay.finish())
}
