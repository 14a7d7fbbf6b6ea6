use std::path::PathBuf;

use crate::{
    fleet::Fleet,
    options::Options,
    support::{Outcome, workspace::Workspace},
    timer::Timer,
};

/// What all runs share: the origins, the evener to measure, and where they are.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) timer: Timer,
    pub(crate) fleet: Fleet,
    pub(crate) evener: PathBuf,
    pub(crate) workspace: Workspace,
}

impl Site {
    pub(crate) fn open(options: &Options) -> Outcome<Self> {
        let workspace = Workspace::open(&options.common)?;
        let timer = Timer::start();
        Ok(Self { fleet: Fleet::open(&timer)?, timer, evener: options.common.evener(), workspace })
    }
}
