use std::{net::SocketAddr, path::Path, time::Duration};

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    compare::words::Compared,
    options::Options,
    rows::Row,
    site::Site,
    support::{
        Outcome, ports,
        process::{Running, find, output_of},
        program::Program,
    },
};

/// One of the proxies that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Peer {
    Nginx,
    Haproxy,
    Evener,
}

/// A peer that runs.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) process: Running,
    bulk: SocketAddr,
    short: SocketAddr,
    redis: SocketAddr,
    udp: SocketAddr,
    dns: SocketAddr,
}

impl Peer {
    /// Starts this peer on free ports in front of the site's endpoints.
    pub(crate) fn start(self, options: &Options, site: &Site) -> Outcome<Proxy> {
        let listens: [SocketAddr; 5] = ports::free()?;
        let evener = options.common.evener();
        let program = self.program(&evener);
        let (name, template) = self.template();
        let ports = ["@BULK@", "@SHORT@", "@REDIS@", "@UDP@", "@DNS@"];
        let mut places: Vec<(&str, String)> =
            ports.into_iter().zip(listens.map(|listen| listen.port().to_string())).collect();
        places.extend(site.endpoints.places());
        places.push(("@MODULE@", stream_module()?));
        let workspace = &site.workspace;
        let command = program.serve(&workspace.write(name, template, &places)?)?;
        let [bulk, short, redis, udp, dns] = listens;
        let process = workspace.start(self.name(), &workspace.cores.proxy, &command, bulk)?;
        Ok(Proxy { peer: self, process, bulk, short, redis, udp, dns })
    }

    /// What the peer says of its version, in one line.
    pub(crate) fn version(self, options: &Options) -> Outcome<String> {
        self.program(&options.common.evener()).version()
    }

    fn program(self, evener: &Path) -> Program<'_> {
        match self {
            Self::Nginx => Program::Nginx,
            Self::Haproxy => Program::Haproxy,
            Self::Evener => Program::Evener(evener),
        }
    }

    /// The name and the text of a configuration, with places to fill.
    fn template(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx => ("nginx.conf", include_str!("conf/nginx.conf")),
            Self::Haproxy => ("haproxy.cfg", include_str!("conf/haproxy.cfg")),
            Self::Evener => ("evener.yaml", include_str!("conf/evener.yaml")),
        }
    }
}

impl Compared for Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Evener => "evener",
        }
    }
}

impl Proxy {
    /// Where clients do the work of `row`.
    pub(crate) fn address(&self, row: Row) -> SocketAddr {
        match row {
            Row::Bulk => self.bulk,
            Row::Short | Row::Idle => self.short,
            Row::Redis => self.redis,
            Row::Udp => self.udp,
            Row::Dns => self.dns,
        }
    }
}

/// The line that has nginx load its `stream` module, where that is a file of its own as in Debian.
fn stream_module() -> Outcome<String> {
    let nginx = find("nginx").ok_or("no nginx: scripts/need nginx")?;
    let text = output_of(&[nginx.into(), "-V".into()], Duration::from_secs(5))?;
    let is_apart = text.split_whitespace().any(|flag| flag == "--with-stream=dynamic");
    let dir = text.split_whitespace().find_map(|flag| flag.strip_prefix("--modules-path="));
    Ok(match dir {
        Some(dir) if is_apart => format!("load_module {dir}/ngx_stream_module.so;"),
        _ => String::new(),
    })
}
