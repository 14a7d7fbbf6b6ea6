//! Where lines end up. What is here may wait for as long as it likes: it has a thread of its own.

mod connection;
mod datagrams;
mod journal;
mod stream;
mod syslog;

use std::io;
use std::time::Duration;

use crate::config::spec::{AccessSink, AccessSpec, SyslogAddr};

use datagrams::{Datagrams, Place};

/// Takes lines.
pub(super) trait Sink: Send {
    /// Writes all lines.
    ///
    /// # Errors
    /// When some of them could not be written.
    fn write(&mut self, batch: &Batch) -> Result<(), Unwritten>;

    /// Opens again what may have been renamed.
    fn reopen(&mut self) {}
}

/// Lines that are written at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: Vec<u8>,
    /// Where each line ends, line feed included.
    ends: Vec<usize>,
}

/// Lines that a sink did not take.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) lines: u64,
    /// What it said to the first of them.
    pub(super) error: io::Error,
}

/// Opens what the configuration says. What takes messages need not be there yet.
///
/// # Errors
/// When a file cannot be opened.
pub(super) fn open(spec: &AccessSpec) -> io::Result<Box<dyn Sink>> {
    Ok(match &spec.to {
        AccessSink::Stdout => over(io::stdout()),
        AccessSink::Stderr => over(io::stderr()),
        AccessSink::File(path) => stream::open(path)?,
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

pub(super) use stream::over;

/// What is sent for a line.
trait Message: Send {
    /// Writes it to the end of `out`; the line has no line feed.
    fn write(&self, line: &[u8], out: &mut Vec<u8>);
}

// === Batch ===

impl Batch {
    /// Takes a line with its line feed.
    pub(super) fn push(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.ends.push(self.text.len());
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Bytes in all.
    pub(super) fn size(&self) -> usize {
        self.text.len()
    }

    pub(super) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The lines without their line feeds.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.text[begin..end.saturating_sub(1).max(begin)])
    }
}
