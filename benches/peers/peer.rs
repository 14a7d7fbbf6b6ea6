use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    client,
    compare::words::Compared,
    connection::Connection,
    options::Options,
    site::Site,
    support::{Outcome, built::absolute, ports, process::Running, program::Program},
    wire::Wire,
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
    /// Evener, built so that it counts nothing.
    Uncounted,
    /// Evener with an access log.
    Logged,
    /// Evener with an access log and traces of one request of a hundred.
    Traced,
}

/// A peer that runs.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) wire: Wire,
    pub(crate) address: SocketAddr,
    pub(crate) process: Running,
}

impl Peer {
    /// Starts this peer on a free port in front of the site's endpoints.
    pub(crate) fn start(self, options: &Options, site: &Site, wire: &Wire) -> Outcome<Proxy> {
        let [address] = ports::free()?;
        let command = self.command(options, site, wire, address)?;
        let workspace = &site.workspace;
        let process = workspace.start(self.name(), &workspace.cores.proxy, &command, address)?;
        Ok(Proxy { peer: self, wire: wire.clone(), address, process })
    }

    fn command(
        self,
        options: &Options,
        site: &Site,
        wire: &Wire,
        listen: SocketAddr,
    ) -> Outcome<Vec<OsString>> {
        let configure = |name, template| {
            let clauses = [
                ("@LISTEN@", self.listen(wire)),
                ("@SCHEME@", wire.scheme()),
                ("@LOG@", self.log()),
                ("@TRACING@", self.tracing()),
            ];
            site.configure(name, template, &clauses.map(|(place, text)| (place, text.to_owned())), listen)
        };
        match self {
            Self::Nginx => Program::Nginx.serve(&configure("nginx.conf", include_str!("conf/nginx.conf"))?),
            Self::Haproxy => {
                Program::Haproxy.serve(&configure("haproxy.cfg", include_str!("conf/haproxy.cfg"))?)
            }
            Self::Bare => {
                let mut words = vec![absolute(&options.bare())?.into()];
                words.push(listen.to_string().into());
                words.extend(site.origin.endpoints.map(|endpoint| endpoint.to_string().into()));
                Ok(words)
            }
            Self::Evener | Self::Uncounted | Self::Logged | Self::Traced => {
                let conf = configure(&format!("{}.yaml", self.name()), include_str!("conf/evener.yaml"))?;
                Program::Evener(&self.evener(options)).serve(&conf)
            }
        }
    }

    /// Which build of Evener it is.
    fn evener(self, options: &Options) -> PathBuf {
        match (self, &options.uncounted) {
            (Self::Uncounted, Some(path)) => path.clone(),
            _ => options.common.evener(),
        }
    }

    /// Evener's access log: a file, with all defaults.
    fn log(self) -> &'static str {
        match self {
            Self::Logged | Self::Traced => "to: access.log",
            _ => "format: off",
        }
    }

    /// Evener's traces, which the origin takes and forgets.
    fn tracing(self) -> &'static str {
        match self {
            Self::Traced => "tracing: { to: 'http://127.0.0.1:@A@', sample: 1% }",
            _ => "",
        }
    }

    /// How the peer's configuration says what it listens on.
    fn listen(self, wire: &Wire) -> &'static str {
        match (self, wire) {
            (Self::Bare, _) => "",
            (Self::Nginx, Wire::Plain) => "listen 127.0.0.1:@PORT@ backlog=4096;",
            (Self::Nginx, Wire::Tls(_)) => include_str!("conf/nginx-tls.conf").trim_end(),
            (Self::Haproxy, Wire::Plain) => "bind 127.0.0.1:@PORT@ backlog 4096",
            (Self::Haproxy, Wire::Tls(_)) => {
                "bind 127.0.0.1:@PORT@ backlog 4096 ssl crt site-and-key.pem alpn h2,http/1.1"
            }
            (_, Wire::Plain) => "bind: 127.0.0.1:@PORT@",
            (_, Wire::Tls(_)) => {
                "bind: 127.0.0.1:@PORT@, tls: { certificates: [{ cert: site.pem, key: site.key }] }"
            }
        }
    }

    /// What the peer says of its version, in one line.
    pub(crate) fn version(self, options: &Options) -> Outcome<String> {
        match self {
            Self::Nginx => Program::Nginx.version(),
            Self::Haproxy => Program::Haproxy.version(),
            Self::Bare => Ok(format!("pingora {}", locked_pingora())),
            _ => Program::Evener(&self.evener(options)).version(),
        }
    }
}

impl Compared for Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Bare => "bare",
            Self::Evener => "evener",
            Self::Uncounted => "uncounted",
            Self::Logged => "logged",
            Self::Traced => "traced",
        }
    }
}

impl Proxy {
    /// A client's connection from `source`, an address of the loopback network.
    pub(crate) fn connect(&self, source: Ipv4Addr) -> Outcome<Connection> {
        client::open(source, self.address, &self.wire)
    }
}

/// The version of Pingora that this package was built with, out of its lock file.
fn locked_pingora() -> String {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap_or_default();
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"pingora\"");
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.map_or_else(|| "unknown".to_owned(), |quoted| quoted.trim_matches('"').to_owned())
}
