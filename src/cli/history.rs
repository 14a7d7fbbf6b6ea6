use clap::Args;

use crate::control::{Command, Reply};

use super::process::Process;
use super::{fail, unexpected};

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
            Reply::History(generations) if self.json => {
                println!("{}", serde_json::to_string_pretty(&generations).map_err(fail)?);
            }
            // The one that is served comes first: it is what most people look for.
            Reply::History(generations) => {
                generations.iter().rev().for_each(|generation| print!("{generation}"));
            }
            _ => return Err(unexpected()),
        }
        Ok(())
    }
}
