use std::{ffi::OsString, fs, net::SocketAddr, path::PathBuf};

use tempfile::TempDir;

use super::{
    Outcome,
    frame::Bench,
    options::Common,
    placement::{Cores, Place},
    process::Running,
};

/// Where a run takes place: the cores, and a directory for files.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) cores: Cores,
    pub(crate) dir: TempDir,
}

impl Workspace {
    /// Threads that are started from here on inherit the cores of this process.
    pub(crate) fn open<B: Bench>(common: &Common<B>) -> Outcome<Self> {
        let cores = Cores::share_out(common.placement)?;
        let dir = tempfile::Builder::new().prefix(&format!("evener-{}-", B::NAME)).tempdir()?;
        Ok(Self { cores, dir })
    }

    /// Writes `template` as the file `name` into the directory, each `@PLACE@` replaced by its text, one after the other;
    /// `@DIR@` is the directory.
    pub(crate) fn write(&self, name: &str, template: &str, places: &[(&str, String)]) -> Outcome<PathBuf> {
        let mut text = template.replace("@DIR@", &self.dir.path().display().to_string());
        for (place, filling) in places {
            text = text.replace(place, filling);
        }
        let path = self.dir.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts the command as `name` in the directory, on the cores of `place`, and waits until `ready` accepts a connection.
    pub(crate) fn start(
        &self,
        name: &str,
        place: &Place,
        command: &[OsString],
        ready: SocketAddr,
    ) -> Outcome<Running> {
        Running::start(name, &[place.prefix().as_slice(), command].concat(), self.dir.path(), ready)
    }
}
