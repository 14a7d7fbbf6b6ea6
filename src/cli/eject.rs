use clap::Args;

use crate::control::{Command, Reply};
use crate::runtime::{EjectionTime, Target};

use super::output::print_line;
use super::process::Process;
use super::unexpected;

#[derive(Debug, Args)]
pub(super) struct Eject {
    #[command(flatten)]
    process: Process,
    /// The endpoint: its pool, a slash, and its address as it stands in the configuration.
    #[arg(value_name = "POOL/ENDPOINT")]
    endpoint: Target,
    /// For how long: 1s to 1h, in the place of what was said before. `evener drain --undo` ends it.
    #[arg(long = "for", value_name = "TIME")]
    time: EjectionTime,
}

impl Eject {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, endpoint, time } = self;
        let Reply::Ejected { state } = process.ask(&Command::Eject { endpoint, time }, |_| ())? else {
            return Err(unexpected());
        };
        print_line(format_args!("{state}, left out for {time}"))
    }
}
