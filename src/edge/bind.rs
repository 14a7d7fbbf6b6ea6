use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::l4::Predecessor;
use crate::net::SocketFile;
use crate::types::{BindAddr, ListenerName};

use super::datagrams::DatagramSocket;
use super::descriptors::{REMEDY, limit};
use super::inherited::Kind;

/// An address that is bound; clients queue up from here on.
#[derive(Debug)]
pub(super) struct BoundSocket {
    pub(super) kind: Kind,
    /// As the configuration has it.
    pub(super) configured: BindAddr,
    /// Where it really listens: with the port that the kernel chose for port 0.
    pub(super) address: BindAddr,
    /// Several where the kernel spreads clients over them.
    pub(super) sockets: Vec<Arc<StdSocket>>,
    /// The file of a Unix socket that is ours to remove.
    pub(super) file: Option<SocketFile>,
}

#[derive(Debug)]
pub(super) enum StdSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
    Udp(DatagramSocket),
}

/// Why listeners cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// This address cannot be listened on.
    #[error("listener `{listener}` cannot listen on {address}: {reason}")]
    Address {
        listener: ListenerName,
        address: BindAddr,
        reason: String,
        #[source]
        source: io::Error,
    },
    /// All of them together need more than this process may have.
    #[error(
        "too few open files: this process may have {limit}, and needs {need} at least, {listeners} of them for its \
         listeners\n  help: {}; many clients and endpoints need more",
        REMEDY
    )]
    Descriptors { limit: u64, need: usize, listeners: usize },
}

/// A socket that another process gets, too. It is open for as long as this lives, without a descriptor of its own.
#[derive(Debug)]
pub(crate) struct Lent(Arc<StdSocket>);

/// The kernel cuts this down to net.core.somaxconn.
pub(super) const BACKLOG: i32 = 65_535;

impl BindError {
    pub(super) fn new(listener: &ListenerName, address: &BindAddr, source: io::Error) -> Self {
        let reason = explain(&source);
        Self::Address { listener: listener.clone(), address: address.clone(), reason, source }
    }
}

impl BoundSocket {
    /// Binds an address, for datagrams with so many `sockets`.
    pub(super) fn bind(kind: Kind, configured: &BindAddr, sockets: usize) -> io::Result<Self> {
        let (address, sockets) = match (kind, configured) {
            (Kind::Datagrams, BindAddr::Inet(inet)) => bind_udp(*inet, sockets)?,
            (Kind::Connections | Kind::Admin, BindAddr::Inet(inet)) => bind_inet(*inet)?,
            (Kind::Connections | Kind::Admin, BindAddr::Unix(path)) => {
                (configured.clone(), vec![bind_unix(path)?])
            }
            (Kind::Datagrams, BindAddr::Unix(_)) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let file = match configured {
            BindAddr::Unix(path) => Some(SocketFile::at(path)?),
            BindAddr::Inet(_) => None,
        };
        Ok(Self::new(kind, configured, address, sockets, file))
    }

    /// What was bound before this process began, and for sockets whose flows another process has, the channels there.
    pub(super) fn adopt(
        kind: Kind,
        configured: &BindAddr,
        sockets: Vec<Socket>,
        channels: Vec<OwnedFd>,
        file: Option<SocketFile>,
    ) -> io::Result<Self> {
        let mut address = configured.clone();
        let mut channels = channels.into_iter();
        let mut adopted = Vec::with_capacity(sockets.len());
        for socket in sockets {
            if let Some(inet) = socket.local_addr()?.as_socket() {
                address = BindAddr::Inet(inet);
            }
            adopted.push(match (kind, configured) {
                (Kind::Datagrams, _) => {
                    let predecessor = channels.next().map(Predecessor::new).unwrap_or_default();
                    StdSocket::Udp(DatagramSocket::new(socket.into(), predecessor))
                }
                (Kind::Connections | Kind::Admin, BindAddr::Unix(_)) => StdSocket::Unix(socket.into()),
                (Kind::Connections | Kind::Admin, BindAddr::Inet(_)) => {
                    socket.set_tcp_nodelay(true)?;
                    StdSocket::Tcp(socket.into())
                }
            });
        }
        Ok(Self::new(kind, configured, address, adopted, file))
    }

    fn new(
        kind: Kind,
        configured: &BindAddr,
        address: BindAddr,
        sockets: Vec<StdSocket>,
        file: Option<SocketFile>,
    ) -> Self {
        let sockets = sockets.into_iter().map(Arc::new).collect();
        Self { kind, configured: configured.clone(), address, sockets, file }
    }

    /// The same sockets once more.
    pub(super) fn again(&self, configured: &BindAddr) -> Self {
        let Self { kind, address, sockets, .. } = self;
        let (configured, address) = (configured.clone(), address.clone());
        Self { kind: *kind, configured, address, sockets: sockets.clone(), file: None }
    }

    pub(super) fn datagrams(&self) -> impl Iterator<Item = &DatagramSocket> {
        self.sockets.iter().filter_map(|socket| match &**socket {
            StdSocket::Udp(socket) => Some(socket),
            StdSocket::Tcp(_) | StdSocket::Unix(_) => None,
        })
    }

    /// The same sockets, for another process to have them, too.
    pub(super) fn lend(&self) -> Vec<Lent> {
        self.sockets.iter().cloned().map(Lent).collect()
    }
}

impl StdSocket {
    /// One that nobody has read before.
    fn datagrams(socket: UdpSocket) -> Self {
        Self::Udp(DatagramSocket::new(socket, Predecessor::default()))
    }
}

impl AsFd for Lent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &*self.0 {
            StdSocket::Tcp(socket) => socket.as_fd(),
            StdSocket::Unix(socket) => socket.as_fd(),
            StdSocket::Udp(socket) => socket.socket.as_fd(),
        }
    }
}

fn explain(error: &io::Error) -> String {
    if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) {
        return format!("all {} files that this process may have open are in use\n  help: {REMEDY}", limit());
    }
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

fn bind_udp(address: SocketAddr, sockets: usize) -> io::Result<(BindAddr, Vec<StdSocket>)> {
    // Alone first: among sockets that share their address, those of another process would go unnoticed.
    let only = udp_socket(address, Sharing::Refused)?;
    let address = only.local_addr()?;
    let sockets = if sockets == 1 {
        vec![only]
    } else {
        drop(only);
        (0..sockets).map(|_| udp_socket(address, Sharing::Allowed)).collect::<io::Result<_>>()?
    };
    Ok((BindAddr::Inet(address), sockets.into_iter().map(StdSocket::datagrams).collect()))
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

fn bind_inet(address: SocketAddr) -> io::Result<(BindAddr, Vec<StdSocket>)> {
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
    Ok((BindAddr::Inet(socket.local_addr()?), vec![StdSocket::Tcp(socket)]))
}

fn bind_unix(path: &Path) -> io::Result<StdSocket> {
    remove_stale(path)?;
    let socket = std::os::unix::net::UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(StdSocket::Unix(socket))
}

/// Removes a socket that a process left behind; one that still answers, or anything else, stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file is there that is no socket\n  help: remove it, or bind the listener to another path",
        ));
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
            let (address, bound) = bind_udp("127.83.1.1:0".parse().unwrap(), sockets).unwrap();
            let address_of = |socket: &StdSocket| match socket {
                StdSocket::Udp(socket) => BindAddr::Inet(socket.socket.local_addr().unwrap()),
                _ => unreachable!(),
            };
            let addresses: Vec<_> = bound.iter().map(address_of).collect();
            assert_eq!(addresses, vec![address.clone(); sockets]);
            let BindAddr::Inet(address) = address else { unreachable!() };
            assert_eq!(bind_udp(address, 3).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        let error = bind_unix(&path).unwrap_err();
        assert_eq!(
            explain(&error),
            "a file is there that is no socket\n  help: remove it, or bind the listener to another path"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[test]
    fn a_port_in_use_is_told_as_such() {
        let (address, _bound) = bind_inet("127.0.0.1:0".parse().unwrap()).unwrap();
        let BindAddr::Inet(address) = address else { unreachable!() };
        let error = bind_inet(address).unwrap_err();
        assert!(explain(&error).contains("in use"), "{error}");
    }
}
