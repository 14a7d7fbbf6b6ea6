//! Sockets that were open before the process began: of a service manager (socket activation, as in sd_listen_fds(3)), or
//! of a process that this one takes over from.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Socket, Type};

use crate::net::SocketFile;
use crate::types::{BindAddr, ListenerName};

use super::bind::BoundSocket;

/// Sockets of somebody else's, for listeners to use in place of their own.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// The service manager's.
    sockets: Vec<InheritedSocket>,
    /// A predecessor's.
    handed_over: Vec<HandedOver>,
}

/// All sockets of one address that one process hands over to another.
#[derive(Debug)]
pub(crate) struct HandedOver<S = OwnedFd> {
    pub(crate) kind: Kind,
    /// As the configuration has it.
    pub(crate) address: BindAddr,
    /// Whom it belongs to.
    pub(crate) listener: ListenerName,
    /// Whether the file of a Unix socket goes with its listener, since no service manager has made it.
    pub(crate) is_own: bool,
    /// In an order that counts where the kernel spreads clients over them.
    pub(crate) sockets: Vec<S>,
    /// For each socket for datagrams the end of a channel, by which flows stay with the process that hands it over. One
    /// that has no use for them closes them, and so those flows end.
    pub(crate) channels: Vec<OwnedFd>,
}

/// An address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) kind: Kind,
    pub(crate) listener: ListenerName,
    /// As the configuration has it.
    pub(crate) address: BindAddr,
}

/// What the environment says of sockets that were handed over is not so.
#[derive(Debug, thiserror::Error)]
#[error("the sockets that were handed over cannot be used: {0}")]
pub(crate) struct InheritError(String);

/// What arrives at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connections,
    Datagrams,
    /// Connections of those who look after the process.
    Admin,
}

impl Kind {
    /// Whether a socket for the one does for the other as well.
    fn is_like(self, other: Self) -> bool {
        (self == Self::Datagrams) == (other == Self::Datagrams)
    }
}

#[derive(Debug)]
struct InheritedSocket {
    number: RawFd,
    /// As the unit calls it.
    name: Option<String>,
    socket: Socket,
    /// Or what keeps a listener from using it.
    place: Result<Place, &'static str>,
}

/// Where a socket listens.
#[derive(Debug)]
struct Place {
    kind: Kind,
    address: BindAddr,
    /// Whether it is one of IPv6 to which clients of IPv4 come too.
    is_dual: bool,
}

/// The first descriptor that is handed over (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;

/// Whether the descriptors have an owner.
static TAKEN: AtomicBool = AtomicBool::new(false);

impl Inherited {
    /// Takes what the environment says was handed to this process, the first time; later there is nothing.
    ///
    /// The variables stay, since no program with threads can safely remove them. A child reads in LISTEN_PID that
    /// they do not speak to it, and the sockets are closed in it.
    ///
    /// # Errors
    /// When the variables cannot be understood, or tell of descriptors that are not open.
    pub(crate) fn take() -> Result<Self, InheritError> {
        let variable = |name| std::env::var(name).ok();
        let count = count(variable("LISTEN_PID").as_deref(), variable("LISTEN_FDS").as_deref())?;
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(Self::default());
        }
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let sockets = (FIRST..FIRST + count).map(|number| {
            let owned = own(number).map_err(|error| {
                InheritError(format!("LISTEN_FDS says {count}, but descriptor {number}: {error}"))
            })?;
            Ok(InheritedSocket::new(number, names.next(), owned.into()))
        });
        Ok(Self { sockets: sockets.collect::<Result<_, _>>()?, handed_over: Vec::new() })
    }

    /// What a predecessor hands over.
    pub(crate) fn from_predecessor(handed_over: Vec<HandedOver>) -> Self {
        Self { sockets: Vec::new(), handed_over }
    }

    /// Takes out what a predecessor had for a listener of this name at this address.
    pub(super) fn of_listener(
        &mut self,
        kind: Kind,
        address: &BindAddr,
        listener: &ListenerName,
    ) -> io::Result<Option<BoundSocket>> {
        let found =
            |one: &HandedOver| one.kind == kind && one.listens(kind, address) && one.listener == *listener;
        self.take_handed_over(kind, found)
    }

    /// Takes out what listens at this address, whomever it was for.
    ///
    /// # Errors
    /// When it cannot be used, or clients of IPv4 and IPv6 come to the same socket, which listeners keep apart.
    pub(super) fn at(&mut self, kind: Kind, address: &BindAddr) -> io::Result<Option<BoundSocket>> {
        if let Some(found) = self.take_handed_over(kind, |one| one.listens(kind, address))? {
            return Ok(Some(found));
        }
        let matching = self.matching(kind, address)?;
        // Their files are the service manager's.
        (!matching.is_empty())
            .then(|| BoundSocket::adopt(kind, address, matching, Vec::new(), None))
            .transpose()
    }

    fn take_handed_over(
        &mut self,
        kind: Kind,
        is_it: impl Fn(&HandedOver) -> bool,
    ) -> io::Result<Option<BoundSocket>> {
        let Some(place) = self.handed_over.iter().position(is_it) else { return Ok(None) };
        self.handed_over.remove(place).into_bound(kind).map(Some)
    }

    /// Takes out what the service manager has for this address.
    ///
    /// # Errors
    /// When clients of IPv4 and IPv6 come to the same socket, which listeners keep apart.
    fn matching(&mut self, kind: Kind, address: &BindAddr) -> io::Result<Vec<Socket>> {
        if let Some(dual) = self.sockets.iter().find(|socket| socket.mixes(kind, address)) {
            let message = format!(
                "{dual} was handed over for clients of IPv4 and IPv6 alike; write BindIPv6Only=ipv6-only in its unit, \
                 and a line for each address"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let matching = self.sockets.extract_if(.., |socket| socket.listens(kind, address));
        Ok(matching.map(|socket| socket.socket).collect())
    }

    /// Which addresses of a predecessor no listener has taken.
    pub(crate) fn unclaimed(&self) -> Vec<Address> {
        self.handed_over.iter().map(HandedOver::place).collect()
    }

    /// What of the service manager's no listener has taken, and why. It is closed.
    pub(crate) fn into_unused(self) -> Vec<String> {
        let tell = |socket: InheritedSocket| {
            let why = socket.place.as_ref().err().unwrap_or(&"no listener is bound to its address");
            format!("{socket} was handed over, but {why}; it is closed")
        };
        self.sockets.into_iter().map(tell).collect()
    }
}

impl HandedOver {
    fn place(&self) -> Address {
        Address { kind: self.kind, listener: self.listener.clone(), address: self.address.clone() }
    }

    fn listens(&self, kind: Kind, address: &BindAddr) -> bool {
        self.kind.is_like(kind) && is_same(&self.address, address)
    }

    fn into_bound(self, kind: Kind) -> io::Result<BoundSocket> {
        let file = match &self.address {
            // It may have been removed from under its socket, which then serves those that are connected to it.
            BindAddr::Unix(path) if self.is_own => SocketFile::at(path).ok(),
            _ => None,
        };
        let sockets = self.sockets.into_iter().map(Socket::from).collect();
        BoundSocket::adopt(kind, &self.address, sockets, self.channels, file)
    }
}

impl InheritedSocket {
    fn new(number: RawFd, name: Option<String>, socket: Socket) -> Self {
        let place = Place::of(&socket);
        Self { number, name: name.filter(|name| !name.is_empty()), socket, place }
    }

    fn listens(&self, kind: Kind, address: &BindAddr) -> bool {
        self.place.as_ref().is_ok_and(|place| place.kind.is_like(kind) && is_same(&place.address, address))
    }

    /// Whether clients of this address come here, and those of another one too.
    fn mixes(&self, kind: Kind, address: &BindAddr) -> bool {
        let port = |address: &BindAddr| match address {
            BindAddr::Inet(inet) => Some(inet.port()),
            BindAddr::Unix(_) => None,
        };
        self.place.as_ref().is_ok_and(|place| {
            place.is_dual && place.kind.is_like(kind) && port(&place.address) == port(address)
        })
    }
}

impl fmt::Display for InheritedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptor {}", self.number)?;
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        match &self.place {
            Ok(place) => write!(f, " at {}", place.address),
            Err(_) => Ok(()),
        }
    }
}

impl Place {
    fn of(socket: &Socket) -> Result<Self, &'static str> {
        let kind = match socket.r#type() {
            Ok(Type::STREAM) if socket.is_listener().is_ok_and(|is_listener| is_listener) => {
                Kind::Connections
            }
            Ok(Type::STREAM) => return Err("it does not listen (write Accept=no in its unit)"),
            Ok(Type::DGRAM) => Kind::Datagrams,
            Ok(_) => return Err("it is neither for connections nor for datagrams"),
            Err(_) => return Err("it is no socket"),
        };
        let found = socket.local_addr().map_err(|_| "it has no address")?;
        let address = match (found.as_socket(), found.as_pathname()) {
            (Some(inet), _) => BindAddr::Inet(inet),
            (None, Some(path)) => BindAddr::Unix(path.to_owned()),
            (None, None) => return Err("it has no address that a listener can have"),
        };
        let is_dual = matches!(&address, BindAddr::Inet(SocketAddr::V6(v6)) if v6.ip().is_unspecified())
            && !socket.only_v6().is_ok_and(|only_v6| only_v6);
        Ok(Self { kind, address, is_dual })
    }
}

/// How many descriptors were handed to this process: none if the variables speak to another one.
fn count(pid: Option<&str>, count: Option<&str>) -> Result<RawFd, InheritError> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(0) };
    if pid.parse() != Ok(std::process::id()) {
        return Ok(0);
    }
    let most = RawFd::MAX - FIRST;
    let count: Option<RawFd> = count.parse().ok().filter(|count| (0..=most).contains(count));
    count.ok_or_else(|| InheritError("LISTEN_FDS is not the number of descriptors".to_owned()))
}

/// Takes over a descriptor that this process began with.
fn own(number: RawFd) -> io::Result<OwnedFd> {
    // Nothing may own a number that does not stand for anything: it soon would for something else.
    fs::symlink_metadata(format!("/proc/self/fd/{number}")).map_err(|_| io::Error::other("is not open"))?;
    #[expect(unsafe_code, reason = "descriptors are handed over as numbers")]
    // SAFETY: `number` is open, as seen above. By the protocol it was opened for this process to own, since LISTEN_PID
    // names it, and nothing else here knows of it: `take` comes by once, with each number once.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    let socket = Socket::from(owned);
    // It came without, or it would not have come at all.
    socket.set_cloexec(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Whether both stand for one address. The kernel keeps the path by which a socket was bound, and the configuration may
/// have another one to the same place.
pub(super) fn is_same(one: &BindAddr, other: &BindAddr) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    match (one, other) {
        (BindAddr::Unix(one), BindAddr::Unix(other)) => {
            one == other || real(one).is_some_and(|one| Some(one) == real(other))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    use socket2::Domain;

    use super::*;

    fn inherited(sockets: impl IntoIterator<Item = Socket>) -> Inherited {
        let names = ["web", ""].into_iter().map(|name| Some(name.to_owned())).chain(std::iter::repeat(None));
        let sockets = (FIRST..).zip(names).zip(sockets);
        Inherited {
            sockets: sockets
                .map(|((number, name), socket)| InheritedSocket::new(number, name, socket))
                .collect(),
            handed_over: Vec::new(),
        }
    }

    fn address(text: &str) -> BindAddr {
        text.parse().unwrap()
    }

    #[test]
    fn variables_speak_to_the_process_that_they_name() {
        let own = std::process::id().to_string();
        assert_eq!(count(Some(&own), Some("2")).unwrap(), 2);
        for (pid, fds) in
            [(None, Some("2")), (Some("1"), Some("2")), (Some("x"), Some("2")), (Some(&*own), None)]
        {
            assert_eq!(count(pid, fds).unwrap(), 0);
        }
        for fds in ["", "x", "-1", "2147483647"] {
            assert!(count(Some(&own), Some(fds)).is_err(), "{fds}");
        }
    }

    #[test]
    fn a_socket_is_found_by_what_arrives_there_and_by_its_address() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp_at = BindAddr::Inet(tcp.local_addr().unwrap());
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp_at = BindAddr::Inet(udp.local_addr().unwrap());
        let mut inherited = inherited([tcp.into(), udp.into()]);
        assert!(inherited.matching(Kind::Datagrams, &tcp_at).unwrap().is_empty());
        assert!(inherited.matching(Kind::Connections, &udp_at).unwrap().is_empty());
        assert!(inherited.matching(Kind::Connections, &address("127.0.0.1:1")).unwrap().is_empty());
        assert_eq!(inherited.matching(Kind::Connections, &tcp_at).unwrap().len(), 1);
        assert!(inherited.matching(Kind::Connections, &tcp_at).unwrap().is_empty());
        let unused = inherited.into_unused();
        let expected = format!(
            "descriptor 4 at {udp_at} was handed over, but no listener is bound to its address; it is closed"
        );
        assert_eq!(unused, [expected]);
    }

    #[test]
    fn a_path_may_lead_to_a_socket_in_another_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.sock");
        let bound: Socket = UnixListener::bind(&path).unwrap().into();
        let detour = BindAddr::Unix(folder.path().join("./edge.sock"));
        let link = folder.path().join("link.sock");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let other = BindAddr::Unix(folder.path().join("other.sock"));
        for (found, wanted) in [(0, other), (1, detour), (1, BindAddr::Unix(link)), (1, BindAddr::Unix(path))]
        {
            let mut inherited = inherited([bound.try_clone().unwrap()]);
            assert_eq!(inherited.matching(Kind::Connections, &wanted).unwrap().len(), found, "{wanted}");
        }
    }

    #[test]
    fn a_socket_for_both_families_is_refused_to_listeners_of_either() {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        socket.set_only_v6(false).unwrap();
        socket.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(1).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let mut inherited = inherited([socket]);
        for bind in [format!("[::]:{port}"), format!("0.0.0.0:{port}")] {
            let error = inherited.matching(Kind::Connections, &address(&bind)).unwrap_err().to_string();
            let expected = format!(
                "descriptor 3 `web` at [::]:{port} was handed over for clients of IPv4 and IPv6 alike"
            );
            assert!(error.starts_with(&expected), "{error}");
        }
        assert!(inherited.matching(Kind::Datagrams, &address(&format!("[::]:{port}"))).unwrap().is_empty());
    }

    #[test]
    fn what_no_listener_can_use_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let file: OwnedFd = tempfile::tempfile().unwrap().into();
        let unused = inherited([connection.into(), file.into()]).into_unused();
        let expected = [
            "descriptor 3 `web` was handed over, but it does not listen (write Accept=no in its unit); it is closed",
            "descriptor 4 was handed over, but it is no socket; it is closed",
        ];
        assert_eq!(unused, expected);
    }
}
