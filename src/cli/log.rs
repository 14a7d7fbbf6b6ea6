use clap::Args;

use crate::config::spec::LogLevel;
use crate::control::{Command, Reply};

use super::output::{fail, print_line};
use super::process::Process;
use super::unexpected;

#[derive(Debug, Args)]
pub(super) struct Log {
    #[command(flatten)]
    process: Process,
    /// The least important messages that are to be written: error, warn, info, debug or trace. Holds until the configuration
    /// is read again. Default: nothing changes; it only tells the level.
    #[arg(value_name = "LEVEL")]
    level: Option<LogLevel>,
}

impl Log {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { process, level } = self;
        match process.ask(&Command::Log { level }, |_| ())? {
            Reply::Log { level: Some(level), was: Some(was) } => {
                print_line(format_args!("level {level}, was {was}"))
            }
            Reply::Log { level: Some(level), was: None } => print_line(format_args!("level {level}")),
            Reply::Log { level: None, .. } => {
                Err(fail("the program that this process belongs to writes the messages"))
            }
            _ => Err(unexpected()),
        }
    }
}
