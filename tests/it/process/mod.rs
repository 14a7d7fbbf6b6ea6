//! The `evener` command as a process: what it prints, how it exits, what signals do.

mod admin;
mod certificates;
mod check;
mod control;
mod diff;
mod drain;
mod explain;
mod log;
mod open_files;
mod output;
mod purge;
mod reload;
mod run;
mod signals;
mod simulate;
mod sockets;
mod split;
mod steering;
mod stored;
mod systemd;
mod unix_files;
mod upgrade;

use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) use run::{Running, send};

/// A file in a folder of its own, and the command that is run there.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder with this text as `edge.yaml`.
    pub(crate) fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("edge.yaml"), config).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evener"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs the command to its end.
    pub(crate) fn evener(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

/// Exit code, standard output and standard error.
pub(crate) fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
