use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    request::BODY,
    support::{
        Outcome, conf,
        placement::{Cores, Placement},
        ports,
        process::Running,
        program::Program,
    },
    tls::certificate::Certificate,
};

/// What all measurements share: a directory for files, the cores, a certificate, and an origin with two endpoints.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) endpoints: [SocketAddr; 2],
    pub(crate) cores: Cores,
    pub(crate) certificate: Certificate,
    // Before the directory: the origin has to end first.
    _origin: Running,
    dir: tempfile::TempDir,
}

impl Site {
    /// Starts the origin: an nginx with one worker that answers on two ports by itself.
    pub(crate) fn open(placement: Placement) -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("evener-peers-").tempdir()?;
        let endpoints: [SocketAddr; 2] = ports::free()?;
        let [a, b] = endpoints.map(|endpoint| endpoint.port().to_string());
        let places = [("@BODY@", BODY.to_owned()), ("@A@", a), ("@B@", b)];
        let conf = conf::write(dir.path(), "origin.conf", include_str!("conf/origin.conf"), &places)?;
        let cores = Cores::share_out(placement)?;
        let mut words = cores.surroundings.prefix();
        words.extend(Program::Nginx.serve(&conf)?);
        let origin = Running::start("origin", &words, dir.path(), endpoints[0])?;
        let certificate = Certificate::make(dir.path())?;
        Ok(Self { endpoints, cores, certificate, _origin: origin, dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
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
        let [port, a, b] =
            [listen, self.endpoints[0], self.endpoints[1]].map(|address| address.port().to_string());
        let places = [clauses, &[("@PORT@", port), ("@A@", a), ("@B@", b)]].concat();
        conf::write(self.dir(), name, template, &places)
    }
}
