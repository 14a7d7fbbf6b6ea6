use std::{net::SocketAddr, path::PathBuf};

use crate::{
    options::Options,
    origin::Origin,
    support::{Outcome, workspace::Workspace},
    tls::certificate::Certificate,
};

/// What all measurements share: a certificate, an origin with two endpoints, and where they are.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) certificate: Certificate,
    // Before the workspace: the origin has to end first.
    pub(crate) origin: Origin<2>,
    pub(crate) workspace: Workspace,
}

impl Site {
    pub(crate) fn open(options: &Options) -> Outcome<Self> {
        let workspace = Workspace::open(&options.common)?;
        let origin = Origin::start(&workspace, include_str!("conf/origin.conf"))?;
        let certificate = Certificate::make(workspace.dir.path())?;
        Ok(Self { certificate, origin, workspace })
    }

    /// Writes a configuration into the directory, with the places in `template` filled: `clauses` first, which may have
    /// places of their own.
    pub(crate) fn configure(
        &self,
        name: &str,
        template: &str,
        clauses: &[(&str, String)],
        listen: SocketAddr,
    ) -> Outcome<PathBuf> {
        let [a, b] = self.origin.endpoints;
        let [port, a, b] = [listen, a, b].map(|address| address.port().to_string());
        let places = [clauses, &[("@PORT@", port), ("@A@", a), ("@B@", b)]].concat();
        self.workspace.write(name, template, &places)
    }
}
