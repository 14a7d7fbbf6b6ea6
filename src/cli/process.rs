use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::spec::ControlSocket;
use crate::config::{self, Diagnostics, KeyPath, Severity};
use crate::control::{self, Command, Reply};

use super::{BAD_CONFIG, fail};

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

    pub(super) fn behind(socket: PathBuf) -> Self {
        Self { config: None, socket: Some(socket) }
    }

    /// Asks the process; `progress` is told of replies before the last.
    pub(super) fn ask(&self, command: &Command, progress: impl FnMut(Reply)) -> Result<Reply, u8> {
        control::ask(&self.find()?, command, progress).map_err(fail)
    }

    fn find(&self) -> Result<PathBuf, u8> {
        match (&self.socket, &self.config) {
            (Some(path), _) => Ok(path.clone()),
            (None, Some(file)) => named_in(file),
            (None, None) => Ok(ControlSocket::DEFAULT.into()),
        }
    }
}

fn named_in(file: &Path) -> Result<PathBuf, u8> {
    let refused = |problems: &Diagnostics| {
        eprint!("{problems}");
        BAD_CONFIG
    };
    let loaded = config::load(file).map_err(|problems| refused(&problems))?;
    if hides_the_socket(&loaded.diagnostics) {
        return Err(refused(&loaded.diagnostics));
    }
    let place = loaded.config.control_socket;
    place.map(|place| place.path).ok_or_else(|| {
        let file = file.display();
        fail(format_args!("{file} gives the process no control socket: server.control_socket is `off`"))
    })
}

/// Whether it was not to be read where the socket is. Whatever else is wrong with the file does not matter here: the
/// process may have been started before.
fn hides_the_socket(problems: &Diagnostics) -> bool {
    let server = KeyPath::default().child("server");
    let socket = server.child("control_socket");
    let hides = |path: &KeyPath| *path == server || socket.contains(path);
    problems.iter().any(|problem| problem.severity == Severity::Error && hides(&problem.path))
}
