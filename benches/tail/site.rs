use std::path::{Path, PathBuf};

use crate::{
    fleet::Fleet,
    options::Options,
    support::{Outcome, placement::Cores},
    timer::Timer,
};

/// What all runs share: a directory for files, the cores, the origins, and the evener to measure.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) cores: Cores,
    pub(crate) timer: Timer,
    pub(crate) fleet: Fleet,
    pub(crate) evener: PathBuf,
    dir: tempfile::TempDir,
}

impl Site {
    pub(crate) fn open(options: &Options) -> Outcome<Self> {
        // The threads that are started here inherit the cores of this process.
        let cores = Cores::share_out(options.placement)?;
        let dir = tempfile::Builder::new().prefix("evener-tail-").tempdir()?;
        let timer = Timer::start();
        Ok(Self { cores, fleet: Fleet::open(&timer)?, timer, evener: options.evener(), dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}
