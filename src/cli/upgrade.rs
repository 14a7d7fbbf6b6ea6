use std::path::PathBuf;

use clap::Args;

use crate::config::spec::ControlSocket;
use crate::control::{Command, Reply};
use crate::runtime::UpgradeOrder;
use crate::types::Span;

use super::output::{fail, print_line};
use super::process::Process;
use super::{a_second_or_more, refused, unexpected};

#[derive(Debug, Args)]
pub(super) struct Upgrade {
    /// The program of the new process. Default: the one that the old process was started from, as it is by now.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// The configuration of the new process, and where the old one's control socket is found. Default: the old one's.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long the new process may take to read and check its configuration. At least 1s.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = a_second_or_more)]
    timeout: Span,
    /// The control socket of the old process. Default: the one that the configuration names, else `run/evener.sock` in the
    /// working directory.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Upgrade {
    pub(super) fn run(self) -> Result<(), u8> {
        let Self { binary, config, timeout, socket } = self;
        let process = match (&config, socket) {
            (_, Some(socket)) => Process::behind(socket),
            (Some(config), None) => Process::named(None, config),
            (None, None) => Process::behind(ControlSocket::DEFAULT.into()),
        };
        // The process may run in another folder than this command.
        let absolute = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
        let order = UpgradeOrder {
            binary: absolute(binary).map_err(fail)?,
            config: absolute(config).map_err(fail)?,
            start_limit: Some(timeout),
        };
        match process.ask(&Command::Upgrade { order }, |_| ())? {
            Reply::Upgraded { process, version } => print_line(format_args!(
                "evener {version} serves, process {process}; the old process finishes its work"
            )),
            Reply::Refused(problems) => Err(refused(&problems)),
            Reply::Stays(why) => Err(fail(format_args!("nothing has changed: {why}"))),
            _ => Err(unexpected()),
        }
    }
}
