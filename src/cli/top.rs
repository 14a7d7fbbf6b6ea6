use clap::Args;

use crate::control::{self, Command};
use crate::top;

use super::output::fail;
use super::process::Process;

#[derive(Debug, Args)]
pub(super) struct Top {
    #[command(flatten)]
    process: Process,
}

impl Top {
    pub(super) fn run(self) -> Result<(), u8> {
        let socket = self.process.find()?;
        let ask = move |command: &Command| {
            control::ask(&socket, command, |_| ()).map_err(|error| error.to_string())
        };
        top::run(ask).map_err(fail)
    }
}
