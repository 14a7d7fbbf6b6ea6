use std::{ffi::OsString, fs, net::SocketAddr};

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    options::Options,
    site::Site,
    support::{Outcome, built::absolute, ports, process::Running, program::Program},
};

/// One of the proxies that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Peer {
    Nginx,
    Haproxy,
    /// The example `bare_pingora` of this package.
    Bare,
    Evener,
}

/// A peer that runs.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    pub(crate) process: Running,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Bare => "bare",
            Self::Evener => "evener",
        }
    }

    /// Starts this peer on a free port in front of the site's endpoints.
    pub(crate) fn start(self, options: &Options, site: &Site) -> Outcome<Proxy> {
        let [address] = ports::free()?;
        let mut words = site.cores.proxy.prefix();
        words.extend(self.command(options, site, address)?);
        let process = Running::start(self.name(), &words, site.dir(), address)?;
        Ok(Proxy { peer: self, address, process })
    }

    fn command(self, options: &Options, site: &Site, listen: SocketAddr) -> Outcome<Vec<OsString>> {
        match self {
            Self::Nginx => Program::Nginx.serve(&site.configure(
                "nginx.conf",
                include_str!("conf/nginx.conf"),
                listen,
            )?),
            Self::Haproxy => Program::Haproxy.serve(&site.configure(
                "haproxy.cfg",
                include_str!("conf/haproxy.cfg"),
                listen,
            )?),
            Self::Bare => {
                let mut words = vec![absolute(&options.bare())?.into()];
                words.push(listen.to_string().into());
                words.extend(site.endpoints.map(|endpoint| endpoint.to_string().into()));
                Ok(words)
            }
            Self::Evener => {
                let conf = site.configure("evener.yaml", include_str!("conf/evener.yaml"), listen)?;
                Program::Evener(&options.evener()).serve(&conf)
            }
        }
    }

    /// What the peer says of its version, in one line.
    pub(crate) fn version(self, options: &Options) -> Outcome<String> {
        match self {
            Self::Nginx => Program::Nginx.version(),
            Self::Haproxy => Program::Haproxy.version(),
            Self::Bare => Ok(format!("pingora {}", locked_pingora())),
            Self::Evener => Program::Evener(&options.evener()).version(),
        }
    }
}

/// The version of Pingora that this package was built with, out of its lock file.
fn locked_pingora() -> String {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap_or_default();
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"pingora\"");
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.map_or_else(|| "unknown".to_owned(), |quoted| quoted.trim_matches('"').to_owned())
}
