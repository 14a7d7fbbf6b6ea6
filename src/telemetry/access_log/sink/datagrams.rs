use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::{Batch, Message, PAUSE, Sink, Unwritten};

/// Sends each line as a datagram.
///
/// A server that is gone costs the lines of its absence, and is found again when it is back.
pub(super) struct Datagrams<M> {
    link: Link,
    message: M,
    buffer: Vec<u8>,
}

/// A socket that is opened when it is wanted.
struct Link {
    place: Place,
    open: Option<Open>,
    /// When there was nowhere to send to.
    failed: Option<Instant>,
}

/// Where datagrams go.
pub(super) enum Place {
    Unix(PathBuf),
    /// A host and a port, and how addresses are found for them.
    Udp(String, LookUp),
}

type LookUp = Box<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send>;

struct Open {
    socket: Socket,
    since: Instant,
}

enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

/// How long a name stands for the address that it had; datagrams to an address that is nobody's any more tell of nothing.
const RENEWAL: Duration = Duration::from_secs(30);

impl<M> Datagrams<M> {
    pub(super) fn new(place: Place, message: M) -> Self {
        Self { link: Link { place, open: None, failed: None }, message, buffer: Vec::new() }
    }
}

impl Link {
    /// Sends it, on a new socket if the one that is there does not take it.
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.renew();
        if let Some(Open { socket, since }) = &self.open {
            match socket.send(message) {
                Ok(()) => return Ok(()),
                // No other socket would take it.
                Err(error) if error.raw_os_error() == Some(nix::libc::EMSGSIZE) => return Err(error),
                // It was said to an earlier one; nobody has moved in so short a time.
                Err(_) if self.place.is_looked_up() && since.elapsed() < PAUSE => {
                    return socket.send(message);
                }
                Err(_) => self.open = None,
            }
        }
        if self.is_paused() {
            let text = "there was nowhere to send to a moment ago";
            return Err(io::Error::new(io::ErrorKind::NotConnected, text));
        }
        self.connect()?.send(message)
    }

    fn connect(&mut self) -> io::Result<&Socket> {
        let connected = self.place.connect();
        self.failed = connected.is_err().then(Instant::now);
        let open = Open { socket: connected?, since: Instant::now() };
        Ok(&self.open.insert(open).socket)
    }

    /// Looks the name up again if it may stand for another address by now. While it cannot be, the old one is good.
    fn renew(&mut self) {
        let is_old = self.open.as_ref().is_some_and(|open| open.since.elapsed() >= RENEWAL);
        if is_old
            && self.place.is_looked_up()
            && self.connect().is_err()
            && let Some(open) = &mut self.open
        {
            open.since = Instant::now();
        }
    }

    /// Whether the name is not to be looked up yet, which takes long where nobody answers. A path costs nothing.
    fn is_paused(&self) -> bool {
        self.place.is_looked_up() && self.failed.is_some_and(|failed| failed.elapsed() < PAUSE)
    }
}

impl<M: Message> Sink for Datagrams<M> {
    fn write(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        let mut unwritten: Option<Unwritten> = None;
        for line in batch.lines() {
            self.buffer.clear();
            self.message.write(line, &mut self.buffer);
            if let Err(error) = self.link.send(&self.buffer) {
                unwritten.get_or_insert(Unwritten { lines: 0, error }).lines += 1;
            }
        }
        unwritten.map_or(Ok(()), Err)
    }
}

impl Place {
    /// By the names that the machine knows.
    pub(super) fn udp(address: String) -> Self {
        Self::Udp(address, Box::new(|address: &str| address.to_socket_addrs().map(Iterator::collect)))
    }

    /// Whether the address is found by a name.
    fn is_looked_up(&self) -> bool {
        matches!(self, Self::Udp(address, _) if address.parse::<SocketAddr>().is_err())
    }

    fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Socket::Unix(socket))
            }
            Self::Udp(address, look_up) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in look_up(address)? {
                    let socket = UdpSocket::bind(any_port(address))?;
                    match socket.connect(address) {
                        Ok(()) => return Ok(Socket::Udp(socket)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

/// Of the same family.
fn any_port(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

impl Socket {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message),
            Self::Udp(socket) => socket.send(message),
        }
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    struct Plain;

    impl Message for Plain {
        fn write(&self, line: &[u8], out: &mut Vec<u8>) {
            out.extend_from_slice(line);
        }
    }

    /// What a name stands for, and how often that was asked.
    #[derive(Default)]
    struct Names {
        address: Option<SocketAddr>,
        asked: usize,
    }

    fn sink(names: &Arc<Mutex<Names>>) -> Datagrams<Plain> {
        let names = names.clone();
        let look_up = move |_: &str| -> io::Result<Vec<SocketAddr>> {
            let mut names = names.lock();
            names.asked += 1;
            names.address.map(|address| vec![address]).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        Datagrams::new(Place::Udp("log.example:514".to_owned(), Box::new(look_up)), Plain)
    }

    fn lines(lines: &[&str]) -> Batch {
        let mut batch = Batch::default();
        lines.iter().for_each(|line| batch.push(format!("{line}\n").as_bytes()));
        batch
    }

    fn server() -> UdpSocket {
        let server = UdpSocket::bind("127.83.1.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        server
    }

    fn received(server: &UdpSocket) -> String {
        let mut buffer = [0; 64];
        let length = server.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_nobody_knows_is_looked_up_once_a_second() {
        let names: Arc<Mutex<Names>> = Arc::default();
        let mut sink = sink(&names);
        for (second, all) in [(1, lines(&["a", "b", "c"])), (2, lines(&["d", "e"]))] {
            let lost = sink.write(&all).unwrap_err().lines;
            assert_eq!((lost, names.lock().asked), (all.len(), second));
            tokio::time::advance(PAUSE).await;
        }
        let server = server();
        names.lock().address = Some(server.local_addr().unwrap());
        assert!(sink.write(&lines(&["f"])).is_ok());
        assert_eq!(received(&server), "f");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_gone_does_not_have_its_name_looked_up_for_each_line() {
        let names: Arc<Mutex<Names>> = Arc::default();
        names.lock().address = Some(server().local_addr().unwrap());
        let mut sink = sink(&names);
        for _ in 0..10 {
            let _ = sink.write(&lines(&["a", "b"]));
        }
        assert_eq!(names.lock().asked, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_moves_is_followed() {
        let names: Arc<Mutex<Names>> = Arc::default();
        let mut sink = sink(&names);
        let servers = [server(), server()];
        names.lock().address = Some(servers[0].local_addr().unwrap());
        assert!(sink.write(&lines(&["a"])).is_ok());
        assert_eq!(received(&servers[0]), "a");
        names.lock().address = None;
        tokio::time::advance(RENEWAL).await;
        assert!(sink.write(&lines(&["b"])).is_ok());
        assert_eq!((received(&servers[0]), names.lock().asked), ("b".to_owned(), 2));
        names.lock().address = Some(servers[1].local_addr().unwrap());
        tokio::time::advance(RENEWAL).await;
        assert!(sink.write(&lines(&["c"])).is_ok());
        assert_eq!(received(&servers[1]), "c");
    }
}
