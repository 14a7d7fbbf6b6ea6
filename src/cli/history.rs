use clap::Args;

use crate::control::{Command, Reply};

use super::output::{print, print_json};
use super::process::Process;
use super::unexpected;

#[derive(Debug, Args)]
pub(super) struct History {
    #[command(flatten)]
    process: Process,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn run(self) -> Result<(), u8> {
        match self.process.ask(&Command::History {}, |_| ())? {
            Reply::History(generations) if self.json => print_json(&generations),
            // The one that is served comes first: it is what most people look for.
            Reply::History(generations) => generations.iter().rev().try_for_each(print),
            _ => Err(unexpected()),
        }
    }
}
