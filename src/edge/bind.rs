use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::runtime::Listener;
use crate::types::{BindAddr, ListenerName};

use super::inherited::{Inherited, Kind};

/// A listener whose sockets are bound and listen; connections queue up from here on.
#[derive(Debug)]
pub(crate) struct BoundListener {
    pub(crate) listener: Arc<Listener>,
    pub(crate) sockets: Vec<BoundSocket>,
}

/// One bound socket.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    /// Where it really listens: with the port that the kernel chose for port 0.
    pub(crate) address: BindAddr,
    pub(super) socket: StdSocket,
}

#[derive(Debug)]
pub(super) enum StdSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
    /// Several at one address, over which the kernel spreads clients.
    Udp(Vec<UdpSocket>),
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listener `{listener}` cannot listen on {address}: {reason}")]
pub(crate) struct BindError {
    listener: ListenerName,
    address: BindAddr,
    reason: String,
    #[source]
    source: io::Error,
}

/// The kernel cuts this down to net.core.somaxconn.
pub(super) const BACKLOG: i32 = 65_535;

/// Binds every address of every listener, or none: on the first that fails the others are closed again. Datagrams get a
/// socket for each of so many threads. What was handed over for an address is used as it is.
pub(crate) fn bind_all(
    listeners: &[Arc<Listener>],
    threads: usize,
    inherited: &mut Inherited,
) -> Result<Vec<BoundListener>, BindError> {
    let mut bound = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let mut sockets = Vec::with_capacity(listener.binds.len());
        for address in &listener.binds {
            let opened = bind_or_adopt(address, listener.udp().map(|_| threads), inherited);
            sockets.extend(opened.map_err(|source| BindError {
                listener: listener.name.clone(),
                address: address.clone(),
                reason: explain(&source),
                source,
            })?);
        }
        bound.push(BoundListener { listener: listener.clone(), sockets });
    }
    Ok(bound)
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use by another process or listener".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied (ports below 1024 need CAP_NET_BIND_SERVICE; a Unix socket needs a writable folder)"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::NotFound => "the folder of the socket does not exist".to_owned(),
        _ => error.to_string(),
    }
}

/// Takes what was handed over for an address, and else binds it.
fn bind_or_adopt(
    address: &BindAddr,
    datagrams: Option<usize>,
    inherited: &mut Inherited,
) -> io::Result<Vec<BoundSocket>> {
    let kind = if datagrams.is_some() { Kind::Datagrams } else { Kind::Connections };
    let adopted = inherited.matching(kind, address)?;
    if adopted.is_empty() {
        return Ok(vec![bind(address, datagrams)?]);
    }
    let of = |socket| BoundSocket { address: address.clone(), socket };
    Ok(match (kind, address) {
        (Kind::Datagrams, _) => vec![of(StdSocket::Udp(adopted.into_iter().map(UdpSocket::from).collect()))],
        (Kind::Connections, BindAddr::Unix(_)) => {
            adopted.into_iter().map(|socket| of(StdSocket::Unix(socket.into()))).collect()
        }
        (Kind::Connections, BindAddr::Inet(_)) => {
            let adopt = |socket: Socket| {
                socket.set_tcp_nodelay(true)?;
                Ok(of(StdSocket::Tcp(socket.into())))
            };
            adopted.into_iter().map(adopt).collect::<io::Result<_>>()?
        }
    })
}

/// Binds an address: for so many sockets of datagrams, or for connections.
fn bind(address: &BindAddr, datagrams: Option<usize>) -> io::Result<BoundSocket> {
    match (address, datagrams) {
        (BindAddr::Inet(inet), Some(sockets)) => bind_udp(*inet, sockets),
        (BindAddr::Inet(inet), None) => bind_inet(*inet),
        (BindAddr::Unix(path), None) => bind_unix(path),
        (BindAddr::Unix(_), Some(_)) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn bind_udp(address: SocketAddr, sockets: usize) -> io::Result<BoundSocket> {
    // Alone first: among sockets that share their address, those of another process would go unnoticed.
    let only = udp_socket(address, Sharing::Refused)?;
    let address = only.local_addr()?;
    let sockets = if sockets == 1 {
        vec![only]
    } else {
        drop(only);
        (0..sockets).map(|_| udp_socket(address, Sharing::Allowed)).collect::<io::Result<_>>()?
    };
    Ok(BoundSocket { address: BindAddr::Inet(address), socket: StdSocket::Udp(sockets) })
}

/// Whether other sockets of this user may be bound to the same address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Allowed,
    Refused,
}

fn udp_socket(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(sharing == Sharing::Allowed)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn bind_inet(address: SocketAddr) -> io::Result<BoundSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit this on Linux, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        // So that 0.0.0.0:80 and [::]:80 can both be listened on.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket: std::net::TcpListener = socket.into();
    Ok(BoundSocket { address: BindAddr::Inet(socket.local_addr()?), socket: StdSocket::Tcp(socket) })
}

fn bind_unix(path: &Path) -> io::Result<BoundSocket> {
    remove_stale(path)?;
    let socket = std::os::unix::net::UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(BoundSocket { address: BindAddr::Unix(path.to_owned()), socket: StdSocket::Unix(socket) })
}

/// Removes a socket that a process left behind; one that still answers, or anything else, stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edge.sock");
        let first = bind_unix(&path).unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        bind_unix(&path).unwrap();
    }

    #[test]
    fn datagrams_get_a_socket_for_each_thread_and_an_address_of_their_own() {
        for sockets in [1, 3] {
            let first = bind_udp("127.0.0.1:0".parse().unwrap(), sockets).unwrap();
            let StdSocket::Udp(bound) = &first.socket else { unreachable!() };
            let addresses: Vec<_> =
                bound.iter().map(|socket| BindAddr::Inet(socket.local_addr().unwrap())).collect();
            assert_eq!(addresses, vec![first.address.clone(); sockets]);
            let BindAddr::Inet(address) = first.address else { unreachable!() };
            assert_eq!(bind_udp(address, 3).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(bind_unix(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[test]
    fn a_port_in_use_is_told_as_such() {
        let first = bind_inet("127.0.0.1:0".parse().unwrap()).unwrap();
        let BindAddr::Inet(address) = first.address else { unreachable!() };
        let error = bind_inet(address).unwrap_err();
        assert!(explain(&error).contains("in use"), "{error}");
    }
}
