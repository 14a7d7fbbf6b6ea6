use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    Outcome,
    placement::{Cores, Placement, Role},
    ports,
    process::{Running, find},
    request::BODY,
};

/// What all measurements share: a directory for files, the cores, and an origin with two endpoints.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) endpoints: [SocketAddr; 2],
    pub(crate) cores: Cores,
    // Before the directory: the origin has to end first.
    _origin: Running,
    dir: tempfile::TempDir,
}

impl Site {
    /// Starts the origin: an nginx with one worker that answers on two ports by itself.
    pub(crate) fn open(placement: Placement) -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("evener-peers-").tempdir()?;
        let endpoints: [SocketAddr; 2] = ports::free()?;
        let text = include_str!("conf/origin.conf").replace("@BODY@", BODY);
        let conf = write(dir.path(), "origin.conf", &fill(&text, dir.path(), endpoints, endpoints[0]))?;
        let cores = Cores::share_out(placement)?;
        let mut words = cores.prefix(Role::Surroundings);
        words.extend(nginx(&conf)?);
        let origin = Running::start("origin", &words, dir.path(), endpoints[0])?;
        Ok(Self { endpoints, cores, _origin: origin, dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a configuration into the directory, with the places in `template` filled.
    pub(crate) fn configure(&self, name: &str, template: &str, listen: SocketAddr) -> Outcome<PathBuf> {
        write(self.dir(), name, &fill(template, self.dir(), self.endpoints, listen))
    }
}

/// The command line of an nginx with this configuration; nothing is read or written outside of it.
pub(crate) fn nginx(conf: &Path) -> Outcome<Vec<OsString>> {
    let program = find("nginx").ok_or("no nginx: scripts/need nginx")?;
    let dir = conf.parent().unwrap_or(conf);
    Ok(vec![program.into(), "-p".into(), dir.into(), "-e".into(), "stderr".into(), "-c".into(), conf.into()])
}

fn write(dir: &Path, name: &str, text: &str) -> Outcome<PathBuf> {
    let path = dir.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

fn fill(template: &str, dir: &Path, [a, b]: [SocketAddr; 2], listen: SocketAddr) -> String {
    template
        .replace("@DIR@", &dir.display().to_string())
        .replace("@PORT@", &listen.port().to_string())
        .replace("@A@", &a.port().to_string())
        .replace("@B@", &b.port().to_string())
}
