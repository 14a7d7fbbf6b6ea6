use std::{net::SocketAddr, path::Path};

use crate::{
    request::BODY,
    support::{
        Outcome, conf,
        placement::{Cores, Placement},
        ports,
        process::Running,
        program::Program,
    },
};

/// What all measurements share: a directory for files, the cores, and an origin with three endpoints.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) endpoints: [SocketAddr; 3],
    pub(crate) cores: Cores,
    // Before the directory: the origin has to end first.
    _origin: Running,
    dir: tempfile::TempDir,
}

impl Site {
    /// Starts the origin: an nginx with one worker that answers on three ports by itself.
    pub(crate) fn open(placement: Placement) -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("evener-reload-").tempdir()?;
        let endpoints: [SocketAddr; 3] = ports::free()?;
        let [a, b, c] = endpoints.map(|endpoint| endpoint.to_string());
        let places = [("@BODY@", BODY.to_owned()), ("@A@", a), ("@B@", b), ("@C@", c)];
        let conf = conf::write(dir.path(), "origin.conf", include_str!("conf/origin.conf"), &places)?;
        let cores = Cores::share_out(placement)?;
        let mut words = cores.surroundings.prefix();
        words.extend(Program::Nginx.serve(&conf)?);
        let origin = Running::start("origin", &words, dir.path(), endpoints[0])?;
        Ok(Self { endpoints, cores, _origin: origin, dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}
