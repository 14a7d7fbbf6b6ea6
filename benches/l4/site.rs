use std::path::Path;

use crate::{
    endpoints::Endpoints,
    support::{
        Outcome,
        placement::{Cores, Placement},
    },
};

/// What all measurements share: a directory for files, the cores, and the endpoints.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) cores: Cores,
    // Before the directory: the processes among them have to end first.
    pub(crate) endpoints: Endpoints,
    dir: tempfile::TempDir,
}

impl Site {
    pub(crate) fn open(placement: Placement) -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("evener-l4-").tempdir()?;
        // The threads that are started from here on inherit the cores of this process.
        let cores = Cores::share_out(placement)?;
        let endpoints = Endpoints::open(dir.path(), &cores)?;
        Ok(Self { cores, endpoints, dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}
