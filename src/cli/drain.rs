use clap::Args;

use crate::control::{Command, Reply};
use crate::runtime::Target;
use crate::types::Span;

use super::output::{fail, print_line, tell};
use super::process::Process;
use super::unexpected;

#[derive(Debug, Args)]
pub(super) struct Drain {
    #[command(flatten)]
    process: Process,
    /// The endpoint: its pool, a slash, and its address as it stands in the configuration.
    #[arg(value_name = "POOL/ENDPOINT")]
    endpoint: Target,
    /// Take the endpoint in again.
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    undo: bool,
    /// Return at once, while the endpoint finishes its work.
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// How long to wait for the end of its work.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: Span,
}

impl Drain {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, endpoint, undo, no_wait, timeout } = self;
        if undo {
            return take_in(&process, endpoint);
        }
        let wait = if no_wait { Span::default() } else { timeout };
        let mut last = None;
        let progress = |reply| {
            if let Reply::InFlight(count) = reply
                && last.replace(count) != Some(count)
            {
                tell(format_args!("{} in flight\n", requests(count)));
            }
        };
        match process.ask(&Command::Drain { endpoint, wait }, progress)? {
            Reply::Drained => print_line("drained"),
            Reply::Draining { in_flight } if no_wait => {
                print_line(format_args!("draining, {} in flight", requests(in_flight)))
            }
            Reply::Draining { in_flight } => {
                let left = requests(in_flight);
                Err(fail(format_args!("{left} in flight after {wait}; the endpoint stays in drain")))
            }
            _ => Err(unexpected()),
        }
    }
}

fn take_in(process: &Process, endpoint: Target) -> Result<(), u8> {
    let Reply::Undrained { state } = process.ask(&Command::Undrain { endpoint }, |_| ())? else {
        return Err(unexpected());
    };
    print_line(state)
}

fn requests(count: u32) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}
