use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where the service manager hears of this process (sd_notify(3)).
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    /// Another one, which never waits.
    impatient: UnixDatagram,
    manager: SocketAddr,
}

/// How long a manager that does not read may hold this process up.
const PATIENCE: Duration = Duration::from_secs(1);

impl NotifySocket {
    /// The one that the environment names, if there is a manager that listens.
    pub(super) fn from_env() -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET")?;
        let opened = Self::open(&name);
        opened.inspect_err(|error| log::warn!("NOTIFY_SOCKET={name:?} cannot be used error=\"{error}\"")).ok()
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When it is a kind of name that is not understood.
    pub(super) fn open(name: &OsStr) -> io::Result<Self> {
        let manager = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let impatient = UnixDatagram::unbound()?;
        impatient.set_nonblocking(true)?;
        Ok(Self { socket, impatient, manager })
    }

    /// Tells these states, one in a line, in one message.
    ///
    /// # Errors
    /// When the manager does not read them.
    pub(super) fn send(&self, states: &str) -> io::Result<()> {
        self.socket.send_to_addr(states.as_bytes(), &self.manager).map(|_| ())
    }

    /// The same without waiting for the manager.
    ///
    /// # Errors
    /// When the manager does not listen, or has no room for it now.
    pub(super) fn send_at_once(&self, states: &str) -> io::Result<()> {
        self.impatient.send_to_addr(states.as_bytes(), &self.manager).map(|_| ())
    }
}

/// A path, or after `@` a name in the abstract namespace.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "only a path or an abstract name is understood")),
    }
}

/// How often the manager wants to hear that all is well, twice as often as it says; `None` where it does not care
/// (sd_watchdog_enabled(3)).
pub(super) fn watchdog_period() -> Option<Duration> {
    period(std::env::var_os("WATCHDOG_USEC"), std::env::var_os("WATCHDOG_PID"))
}

fn period(usec: Option<OsString>, pid: Option<OsString>) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if pid.is_some_and(|pid| number(pid) != Some(std::process::id().into())) {
        return None;
    }
    let usec = number(usec?).filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec.div_ceil(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_is_reached_by_a_path_and_by_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.sock");
        let abstract_name = format!("evener-test-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let at = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let by_name = UnixDatagram::bind_addr(&at).unwrap();
        for (name, manager) in
            [(path.into_os_string(), by_path), (format!("@{abstract_name}").into(), by_name)]
        {
            NotifySocket::open(&name).unwrap().send("READY=1\nSTATUS=x").unwrap();
            assert_eq!(received(&manager), "READY=1\nSTATUS=x");
        }
    }

    #[test]
    fn addresses_of_other_kinds_are_refused() {
        for name in ["", "vsock:2:1234", "notify.sock"] {
            assert_eq!(NotifySocket::open(OsStr::new(name)).unwrap_err().kind(), io::ErrorKind::Unsupported);
        }
    }

    #[test]
    fn a_manager_hears_twice_as_often_as_it_asks_for() {
        let own = std::process::id().to_string();
        let period = |usec: &str, pid: Option<&str>| period(Some(usec.into()), pid.map(Into::into));
        assert_eq!(period("30000000", None), Some(Duration::from_secs(15)));
        assert_eq!(period("3", Some(&own)), Some(Duration::from_micros(2)));
        for (usec, pid) in
            [("0", None), ("-1", None), ("", None), ("30000000", Some("1")), ("30000000", Some(""))]
        {
            assert_eq!(period(usec, pid), None, "{usec} {pid:?}");
        }
    }
}
