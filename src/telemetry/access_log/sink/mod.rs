//! Where lines end up. What is here may wait for as long as it likes: it has a thread of its own.

mod connection;
mod datagrams;
mod journal;
mod syslog;

use std::io;
use std::time::Duration;

use crate::config::spec::{AccessSink, AccessSpec, SyslogAddr};
use crate::telemetry::line_queue::{Batch, FileKind, Sink, Unwritten, open_file, over};

use super::LOG;

use datagrams::{Datagrams, Place};

/// Opens what the configuration says. What takes messages need not be there yet.
///
/// # Errors
/// When a file cannot be opened.
pub(super) fn open(spec: &AccessSpec) -> io::Result<Box<dyn Sink>> {
    Ok(match &spec.to {
        AccessSink::Stdout => over(io::stdout()),
        AccessSink::Stderr => over(io::stderr()),
        AccessSink::File(path) => open_file(&LOG, path, FileKind::Any)?,
        AccessSink::Journald => {
            let place = Place::Unix(spec.journald.socket.clone());
            Box::new(Datagrams::new(place, journal::Message::new(&spec.journald)))
        }
        AccessSink::Syslog => {
            let message = syslog::Message::new(&spec.syslog);
            match &spec.syslog.address {
                SyslogAddr::Unix(path) => Box::new(Datagrams::new(Place::Unix(path.clone()), message)),
                SyslogAddr::Udp(address) => Box::new(Datagrams::new(Place::udp(address.clone()), message)),
                SyslogAddr::Tcp(address) => Box::new(connection::Connection::new(address.clone(), message)),
            }
        }
    })
}

/// How long nobody is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is sent for a line.
trait Message: Send {
    /// Writes it to the end of `out`; the line has no line feed.
    fn write(&self, line: &[u8], out: &mut Vec<u8>);
}
