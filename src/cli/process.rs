use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config;
use crate::config::spec::ControlSocket;
use crate::control::{self, Command, Reply};

use super::BAD_CONFIG;
use super::output::{fail, tell};

/// Which process a command is for.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Process {
    /// The configuration that the process was started with; it says where the control socket is.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The control socket of the process. Default: `run/evener.sock` in the working directory.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Process {
    /// The one behind this socket, or else that which this configuration names.
    pub(super) fn named(socket: Option<PathBuf>, config: &Path) -> Self {
        let config = socket.is_none().then(|| config.to_owned());
        Self { config, socket }
    }

    /// The one that either of them leads to, or else that at the default place.
    pub(super) fn found_by(config: Option<PathBuf>, socket: Option<PathBuf>) -> Self {
        Self { config, socket }
    }

    pub(super) fn behind(socket: PathBuf) -> Self {
        Self { config: None, socket: Some(socket) }
    }

    /// Asks the process; `progress` is told of replies before the last.
    pub(super) fn ask(&self, command: &Command, progress: impl FnMut(Reply)) -> Result<Reply, u8> {
        control::ask(&self.find()?, command, progress).map_err(fail)
    }

    /// The same where `progress` may break off.
    pub(super) fn ask_until<B>(
        &self,
        command: &Command,
        progress: impl FnMut(Reply) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B, Reply>, u8> {
        control::ask_until(&self.find()?, command, progress).map_err(fail)
    }

    pub(super) fn find(&self) -> Result<PathBuf, u8> {
        match (&self.socket, &self.config) {
            (Some(path), _) => Ok(path.clone()),
            (None, Some(file)) => named_in(file),
            (None, None) => Ok(ControlSocket::DEFAULT.into()),
        }
    }
}

fn named_in(file: &Path) -> Result<PathBuf, u8> {
    let place = config::control_place_in(file).map_err(|problems| {
        tell(&problems);
        BAD_CONFIG
    })?;
    place.map(|place| place.path).ok_or_else(|| {
        let file = file.display();
        fail(format_args!("{file} gives the process no control socket: server.control_socket is `off`"))
    })
}
