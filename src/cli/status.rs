use clap::Args;

use crate::control::{Command, Reply, table};

use super::process::Process;
use super::{fail, unexpected};

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
            Reply::Status(status) if self.json => {
                println!("{}", serde_json::to_string_pretty(&status).map_err(fail)?);
            }
            Reply::Status(status) => print!("{}", table(&status)),
            _ => return Err(unexpected()),
        }
        Ok(())
    }
}
