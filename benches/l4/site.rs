use crate::{
    endpoints::Endpoints,
    options::Options,
    support::{Outcome, workspace::Workspace},
};

/// What all measurements share: the endpoints, and where they are.
#[derive(Debug)]
pub(crate) struct Site {
    // Before the workspace: the processes among them have to end first.
    pub(crate) endpoints: Endpoints,
    pub(crate) workspace: Workspace,
}

impl Site {
    pub(crate) fn open(options: &Options) -> Outcome<Self> {
        let workspace = Workspace::open(&options.common)?;
        let endpoints = Endpoints::open(&workspace)?;
        Ok(Self { endpoints, workspace })
    }
}
