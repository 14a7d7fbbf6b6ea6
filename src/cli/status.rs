use clap::Args;

use crate::control::{Command, Reply, table};

use super::output::{print, print_json};
use super::process::Process;
use super::unexpected;

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    process: Process,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
    /// The pool to tell of. Default: all.
    #[arg(value_name = "POOL")]
    pool: Option<String>,
}

impl Status {
    pub(super) fn run(self) -> Result<(), u8> {
        match self.process.ask(&Command::Status { pool: self.pool }, |_| ())? {
            Reply::Status(status) if self.json => print_json(&status),
            Reply::Status(status) => print(table(&status)),
            _ => Err(unexpected()),
        }
    }
}
