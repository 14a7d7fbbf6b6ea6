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
    #[arg(long, value_name = "NUMBER", value_parser = generation)]
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

fn generation(text: &str) -> Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "a generation is a whole number, 1 or more; `evener history` lists those that are kept")
}
