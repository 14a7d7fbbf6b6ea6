use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::runtime::Listener;
use crate::types::{BindAddr, ListenerName};

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
const BACKLOG: i32 = 65_535;

/// Binds every address of every listener, or none: on the first that fails the others are closed again.
pub(crate) fn bind_all(listeners: &[Arc<Listener>]) -> Result<Vec<BoundListener>, BindError> {
    listeners
        .iter()
        .map(|listener| {
            let sockets = listener.binds.iter().map(|address| {
                bind(address).map_err(|source| BindError {
                    listener: listener.name.clone(),
                    address: address.clone(),
                    reason: explain(&source),
                    source,
                })
            });
            Ok(BoundListener { listener: listener.clone(), sockets: sockets.collect::<Result<_, _>>()? })
        })
        .collect()
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

fn bind(address: &BindAddr) -> io::Result<BoundSocket> {
    match address {
        BindAddr::Inet(inet) => bind_inet(*inet),
        BindAddr::Unix(path) => bind_unix(path),
    }
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
