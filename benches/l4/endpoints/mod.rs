//! The endpoints behind the proxies. Those that are threads of this process run until it ends.

pub(crate) mod batch;
pub(crate) mod bulk;
mod datagrams;
mod echo;

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use crate::support::{
    Outcome, ports,
    process::{Running, find},
    workspace::Workspace,
};

/// Endpoints of short connections: several, since the ports that are left to connect to one are not used again at once.
const ECHOES: [&str; 4] = ["@ECHO1@", "@ECHO2@", "@ECHO3@", "@ECHO4@"];

/// All endpoints, each where it listens.
#[derive(Debug)]
pub(crate) struct Endpoints {
    bulk: SocketAddr,
    echoes: Vec<SocketAddr>,
    datagrams: SocketAddr,
    redis: SocketAddr,
    _redis: Running,
}

impl Endpoints {
    pub(crate) fn open(workspace: &Workspace) -> Outcome<Self> {
        let [redis] = ports::free()?;
        let listeners = ECHOES.iter().map(|_| listen()).collect::<Outcome<Vec<TcpListener>>>()?;
        let echoes = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        echo::serve(listeners)?;
        let bulk = listen()?;
        Ok(Self {
            bulk: bulk::serve(bulk)?,
            echoes,
            datagrams: datagrams::serve()?,
            redis,
            _redis: start_redis(redis, workspace)?,
        })
    }

    /// How configurations name them.
    pub(crate) fn places(&self) -> Vec<(&'static str, String)> {
        let echoes = ECHOES.into_iter().zip(self.echoes.iter().copied());
        let others = [
            ("@BULK_ENDPOINT@", self.bulk),
            ("@DATAGRAM_ENDPOINT@", self.datagrams),
            ("@REDIS_ENDPOINT@", self.redis),
        ];
        echoes.chain(others).map(|(place, address)| (place, address.to_string())).collect()
    }
}

fn listen() -> Outcome<TcpListener> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
}

/// A redis-server that keeps nothing on disk.
fn start_redis(listen: SocketAddr, workspace: &Workspace) -> Outcome<Running> {
    let program = find("redis-server").ok_or("no redis-server: scripts/need redis-server")?;
    let (host, port) = (listen.ip().to_string(), listen.port().to_string());
    let flags = ["--bind", &host, "--port", &port, "--save", "", "--appendonly", "no"];
    let command: Vec<OsString> = [program.into()].into_iter().chain(flags.map(OsString::from)).collect();
    workspace.start("redis", &workspace.cores.surroundings, &command, listen)
}
