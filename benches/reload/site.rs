use crate::{
    options::Options,
    origin::Origin,
    support::{Outcome, workspace::Workspace},
};

/// What all measurements share: an origin with three endpoints, and where it is.
#[derive(Debug)]
pub(crate) struct Site {
    // Before the workspace: the origin has to end first.
    pub(crate) origin: Origin<3>,
    pub(crate) workspace: Workspace,
}

impl Site {
    pub(crate) fn open(options: &Options) -> Outcome<Self> {
        let workspace = Workspace::open(&options.common)?;
        let origin = Origin::start(&workspace, include_str!("conf/origin.conf"))?;
        Ok(Self { origin, workspace })
    }
}
