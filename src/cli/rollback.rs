use clap::Args;

use crate::control::Command;

use super::process::Process;
use super::reload::change;

#[derive(Debug, Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    process: Process,
    /// The generation whose configuration is to be served, as `evener history` lists them. Default: the last one whose
    /// configuration came before that which is served.
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

impl Rollback {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, to, json } = self;
        change(&process, &Command::Rollback { to }, json)
    }
}
