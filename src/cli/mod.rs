//! The command line: thin, and the same for every program that is built on the library.

mod audit;
mod canary;
mod debug_header;
mod diff;
mod drain;
mod drift;
mod eject;
mod explain;
mod history;
mod log;
mod output;
mod process;
mod purge;
mod reload;
mod rollback;
mod status;
mod tap;
mod top;
mod upgrade;
mod watch;
mod weight;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::app::{App, AppBuilder, BoundApp};
use crate::lifecycle;
use crate::simulate::{self, SimulateArgs};
use crate::types::Span;

use output::{fail, print, print_exactly, tell};

/// The exit code where what was to be served is refused (EX_USAGE of sysexits.h).
const BAD_CONFIG: u8 = 64;
/// The exit code for everything else that fails.
const FAILED: u8 = 1;

/// A programmable edge proxy and load balancer.
#[derive(Debug, Parser)]
#[command(name = "evener", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a configuration until a signal ends it: SIGINT at once, SIGTERM after the running requests.
    Run {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration as a start would, and print what it comes to. Exits with 64 when it is refused.
    Check {
        /// The configuration file.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say where a configuration deviates from the secure profile, how bad that is, and what to change. Exits with 1 when a
    /// deviation is as bad as `--deny` or worse, and with 64 when the configuration is refused.
    Audit(audit::Audit),
    /// Say what would become of a request, and why: candidates, filters, pool.
    Explain(explain::Explain),
    /// Say in what two configurations differ. Exits with 0 when they do not, 1 when they do, 64 when one of them is
    /// refused, and 2 when the log cannot be read.
    Diff(diff::Diff),
    /// Tell what goes on in the pools of a process that runs.
    Status(status::Status),
    /// Show what goes on in a process that runs, in a terminal, and drain and weight its endpoints there.
    Top(top::Top),
    /// Have a process that runs read its configuration again and serve it, and print what differs. Exits with 64 when it is
    /// refused; what was served stays then.
    Reload(reload::Reload),
    /// Have a process that runs serve an earlier configuration again. Exits with 64 when that is refused, or not kept.
    Rollback(rollback::Rollback),
    /// List the configurations that a process has served, and what each changed.
    History(history::History),
    /// Have a new process take the place of one that runs: it takes over all sockets and what is known of endpoints, and
    /// once it could serve, the old one accepts nothing more and ends with its work. Until then every failure leaves the
    /// old one as it was.
    Upgrade(upgrade::Upgrade),
    /// Tell in what a process that runs does otherwise than its file says: what was changed by command, and what the file says
    /// by now of something else. Exits with 0 when there is nothing, 1 when there is something, and 2 for anything else that fails.
    Drift(drift::Drift),
    /// Take an endpoint of a process that runs out: no new work. Waits until it has finished the old.
    Drain(drain::Drain),
    /// Leave an endpoint of a process that runs out for some time: no work. It comes back by itself.
    Eject(eject::Eject),
    /// Change the weight of an endpoint, or of a pool of a split, of a process that runs.
    Weight(weight::Weight),
    /// Tell what the canary of a route does in a process that runs, and steer it.
    Canary(canary::Canary),
    /// Tell the level of the messages of a process that runs, and change it.
    Log(log::Log),
    /// Remove stored answers from the caches of a process that runs.
    Purge(purge::Purge),
    /// Show requests of a process that runs as they end, and why each went where it went: routes, filters, the endpoints that
    /// were compared, retries, times. No header is shown, and no value of a query.
    Tap(tap::Tap),
    /// Print the header for one request whose answer then tells why it went where it went (`server.debug_secret`).
    DebugHeader(debug_header::DebugHeader),
    /// Compare policies on the same requests, in virtual time.
    Simulate(SimulateArgs),
    /// Print the reference of all configuration keys as Markdown.
    Reference,
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Reads the command line and does what it says, with the hooks of `builder`.
///
/// Exit codes: 0, 64 where what was to be served is refused, 1 for anything else that fails, 2 for a wrong command
/// line. A generation that `rollback` does not find counts as refused. `diff` and `drift` exit with 1 for a
/// difference, and with 2 for anything else that fails, like diff(1).
pub fn main(builder: &AppBuilder) -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run { config } => run(builder, &config),
        Command::Check { config } => check(builder, &config),
        Command::Audit(audit) => audit.run(builder),
        Command::Explain(explain) => explain.run(builder),
        Command::Diff(diff) => diff.run(builder),
        Command::Status(status) => status.run(),
        Command::Top(top) => top.run(),
        Command::Reload(reload) => reload.run(),
        Command::Rollback(rollback) => rollback.run(),
        Command::History(history) => history.run(),
        Command::Upgrade(upgrade) => upgrade.run(),
        Command::Drift(drift) => drift.run(builder),
        Command::Drain(drain) => drain.run(),
        Command::Eject(eject) => eject.run(),
        Command::Weight(weight) => weight.run(),
        Command::Canary(canary) => canary.run(),
        Command::Log(log) => log.run(),
        Command::Purge(purge) => purge.run(),
        Command::Tap(tap) => tap.run(),
        Command::DebugHeader(header) => header.run(),
        Command::Simulate(args) => simulate(builder, &args),
        Command::Reference => print(builder.reference()),
        Command::Completions { shell } => completions(shell),
    };
    done.map_or_else(ExitCode::from, |()| ExitCode::SUCCESS)
}

fn load(builder: &AppBuilder, config: &Path) -> Result<App, u8> {
    builder.load(config).map_err(|error| {
        tell(&error);
        BAD_CONFIG
    })
}

/// What was to be served is not.
fn refused(problems: &str) -> u8 {
    tell(format_args!("{}\n", problems.trim_end()));
    BAD_CONFIG
}

/// A time in which something can come about.
fn a_second_or_more(text: &str) -> Result<Span, String> {
    const LEAST: Span = Span::from_secs(1);
    match text.parse::<Span>() {
        Ok(time) if time < LEAST => Err(format!("`{text}` is too short; give {LEAST} or more")),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// A process of another version may know answers that this one does not.
fn unexpected() -> u8 {
    fail("the process gave an answer to another question")
}

fn run(builder: &AppBuilder, config: &Path) -> Result<(), u8> {
    let app = builder.load(config).map_err(|error| {
        tell(&error);
        lifecycle::Takeover::decline(&error.to_string());
        BAD_CONFIG
    })?;
    tell(app.warnings());
    let bound = app.bind_or_adopt().and_then(BoundApp::with_control_socket).map_err(fail)?;
    if !bound.is_taking_over() {
        tell(bound.banner());
    }
    bound.run().map_err(fail)
}

fn check(builder: &AppBuilder, config: &Path) -> Result<(), u8> {
    let app = load(builder, config)?;
    tell(app.warnings());
    print(app.summary())
}

fn completions(shell: Shell) -> Result<(), u8> {
    // Not to standard output itself, since it panics when that cannot be written.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "evener", &mut text);
    print_exactly(String::from_utf8_lossy(&text))
}

fn simulate(builder: &AppBuilder, args: &SimulateArgs) -> Result<(), u8> {
    print(simulate::run(args, builder.registry()).map_err(fail)?)
}
