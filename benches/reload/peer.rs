use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    client::body,
    compare::words::Compared,
    configuration::{self, VERSION, Version},
    options::Options,
    rows::Row,
    site::Site,
    support::{Outcome, ports, process::Running, program::Program},
};

/// How long a change may take until it shows, or until the processes that it replaced are gone.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);

/// One of the proxies that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Peer {
    Nginx,
    Evener,
}

/// A peer that runs.
#[derive(Debug)]
pub(crate) struct Proxy<'a> {
    pub(crate) peer: Peer,
    pub(crate) process: Running,
    pub(crate) listen: SocketAddr,
    /// How many processes it is when it rests.
    at_rest: usize,
    site: &'a Site,
    version: Version,
    /// The command that has it reload.
    reload: Vec<OsString>,
}

/// What one reload took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reload {
    pub(crate) took: Duration,
    /// In milliseconds, where the proxy says so.
    pub(crate) told: Option<f64>,
}

impl Peer {
    /// Starts this peer on a free port in front of the site's origin.
    pub(crate) fn start<'a>(self, options: &Options, site: &'a Site) -> Outcome<Proxy<'a>> {
        let [listen] = ports::free()?;
        let version = Version::default();
        let conf = self.write(site, listen, version)?;
        let evener = options.common.evener();
        let program = self.program(&evener);
        let serve = program.serve(&conf)?;
        let workspace = &site.workspace;
        let process = workspace.start(self.name(), &workspace.cores.proxy, &serve, listen)?;
        let reload = match self {
            Self::Nginx => [serve, ["-s", "reload"].map(OsString::from).to_vec()].concat(),
            Self::Evener => {
                let told = ["reload", "--json", "-c"].map(OsString::from);
                serve.into_iter().take(1).chain(told).chain([conf.into()]).collect()
            }
        };
        let mut proxy = Proxy { peer: self, process, listen, at_rest: 0, site, version, reload };
        proxy.check()?;
        proxy.at_rest = proxy.process.tree().len();
        Ok(proxy)
    }

    pub(crate) fn program(self, evener: &Path) -> Program<'_> {
        match self {
            Self::Nginx => Program::Nginx,
            Self::Evener => Program::Evener(evener),
        }
    }

    fn write(self, site: &Site, listen: SocketAddr, version: Version) -> Outcome<PathBuf> {
        match self {
            Self::Nginx => {
                let places = configuration::nginx(version, &site.origin.endpoints, listen);
                site.workspace.write("nginx.conf", include_str!("conf/nginx.conf"), &places)
            }
            Self::Evener => {
                let [pools, routes] = configuration::evener(version, &site.origin.endpoints);
                let places = [("@LISTEN@", listen.to_string()), pools, routes];
                site.workspace.write("evener.yaml", include_str!("conf/evener.yaml"), &places)
            }
        }
    }
}

impl Compared for Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Evener => "evener",
        }
    }
}

impl Proxy<'_> {
    /// Changes its configuration, and has it reload that.
    pub(crate) fn change(&mut self, row: Row) -> Outcome<Reload> {
        if row == Row::Pool {
            self.version.pool += 1;
        }
        // With nginx nothing else tells that a change has come.
        if row == Row::Route || self.peer == Peer::Nginx {
            self.version.answer += 1;
        }
        self.peer.write(self.site, self.listen, self.version)?;
        let begin = Instant::now();
        let (program, words) = self.reload.split_first().ok_or("no command")?;
        let output =
            Command::new(program).args(words).current_dir(self.site.workspace.dir.path()).output()?;
        if !output.status.success() {
            return Err(format!("not reloaded: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let answered = begin.elapsed();
        match self.peer {
            Peer::Nginx => {
                self.wait_for_change(begin + PATIENCE)?;
                Ok(Reload { took: begin.elapsed(), told: None })
            }
            Peer::Evener => {
                self.check()?;
                let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
                Ok(Reload { took: answered, told: report["took_ms"].as_f64() })
            }
        }
    }

    /// Waits until as many processes are left as before the first change, where no client keeps others.
    pub(crate) fn rest(&self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.process.tree().len() > self.at_rest {
            if Instant::now() > deadline {
                return Err(format!("{}: processes linger", self.peer.name()).into());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn wait_for_change(&self, deadline: Instant) -> Outcome<()> {
        while !self.shows_change()? {
            if Instant::now() > deadline {
                return Err(format!("{}: a change does not show", self.peer.name()).into());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn check(&self) -> Outcome<()> {
        if self.shows_change()? {
            return Ok(());
        }
        Err(format!("{} serves another version than it was told:\n{}", self.peer.name(), self.process.said())
            .into())
    }

    fn shows_change(&self) -> Outcome<bool> {
        Ok(body(self.listen, VERSION)? == self.version.answer.to_string())
    }
}
