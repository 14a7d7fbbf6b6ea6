//! TCP that is passed on: bytes and ends as they came, and what the edge adds to them: another endpoint, limits, names,
//! TLS, PROXY headers and lines of the log.

mod drain;
mod explain;
mod failures;
mod limits;
mod log;
mod outliers;
mod policies;
mod proxy_header;
mod queueing;
pub(crate) mod server;
mod sni;
mod soak;
mod sockets;
mod streams;
mod tcp;
mod tls;
mod udp;
mod unusual;
mod upstream_tls;

use std::fmt::Display;
use std::io::ErrorKind;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Client, Edge, PATIENCE};

use server::Server;
use streams::{Ended, end_of, reset};

/// Further keys of a configuration with one TCP listener and one pool, each part with a closing comma.
#[derive(Clone, Copy, Default)]
struct Keys<'a> {
    listener: &'a str,
    tcp: &'a str,
    pool: &'a str,
}

impl<'a> Keys<'a> {
    fn of_listener(listener: &'a str) -> Self {
        Self { listener, ..Self::default() }
    }

    fn of_tcp(tcp: &'a str) -> Self {
        Self { tcp, ..Self::default() }
    }

    fn of_pool(pool: &'a str) -> Self {
        Self { pool, ..Self::default() }
    }
}

/// A configuration with the listener `db`, which passes everything on to the pool `app`.
fn site(keys: Keys<'_>, endpoints: &[&dyn Display]) -> String {
    let Keys { listener, tcp, pool } = keys;
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    format!(
        "listeners: {{ db: {{ bind: 127.0.0.1:0, {listener} tcp: {{ {tcp} pool: app }} }} }}\n\
         pools: {{ app: {{ {pool} endpoints: [{}] }} }}\n\
         log: {{ access: {{ to: LOG }} }}\n",
        endpoints.join(", ")
    )
}

/// The edge of such a configuration.
async fn edge(keys: Keys<'_>, endpoints: &[&dyn Display]) -> Edge {
    Edge::start(&site(keys, endpoints)).await
}

/// The edge in front of these servers.
async fn in_front_of(keys: Keys<'_>, servers: &[&Server]) -> Edge {
    let addresses: Vec<_> = servers.iter().map(|server| server.address()).collect();
    edge(keys, &addresses.iter().map(|address| address as &dyn Display).collect::<Vec<_>>()).await
}

/// Whom a new connection is passed on to, of servers that say their names first, and the connection; `None` if it is
/// closed.
async fn greeted(client: Client) -> Option<(u8, Client)> {
    let (mut stream, _) = client.into_parts();
    let name = timeout(PATIENCE, stream.read_u8()).await.expect("something comes in time").ok()?;
    Some((name, Client::over(stream)))
}

/// The same, of a connection that is closed then.
async fn who_serves(edge: &Edge) -> Option<u8> {
    let client = connect(edge).await?;
    greeted(client).await.map(|(name, _)| name)
}

/// A new connection; `None` if it was reset before that was all done.
async fn connect(edge: &Edge) -> Option<Client> {
    let connected = timeout(PATIENCE, TcpStream::connect(edge.address())).await.expect("connects in time");
    match connected {
        Ok(stream) => Some(Client::over(stream)),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("{error}"),
    }
}

/// What comes on a new connection of a client that says nothing, and how it ends.
async fn fate_of_one(edge: &Edge) -> (Vec<u8>, Ended) {
    match connect(edge).await {
        Some(client) => end_of(client).await,
        None => (Vec::new(), Ended::Reset),
    }
}
