use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Link, Taker};

/// The way to the process that read a socket before, and may still have flows: for one run on the socket after another.
/// Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Predecessor(Arc<Mutex<Way>>);

#[derive(Debug, Default)]
enum Way {
    /// There is nobody, or a run has it.
    #[default]
    None,
    /// Nothing was said yet.
    New(OwnedFd),
    Known(Link<Taker>),
}

impl Predecessor {
    /// Whoever is at the other end of the channel.
    pub(crate) fn new(end: OwnedFd) -> Self {
        Self(Arc::new(Mutex::new(Way::New(end))))
    }

    /// For a run, until it puts it back.
    pub(in crate::l4::udp) fn take(&self) -> io::Result<Option<Link<Taker>>> {
        match std::mem::take(&mut *self.0.lock()) {
            Way::None => Ok(None),
            Way::New(end) => Link::new(end, Taker::default()).map(Some),
            Way::Known(link) => Ok(Some(link)),
        }
    }

    /// For the next run, with all that is known of the flows there.
    pub(in crate::l4::udp) fn put_back(&self, link: Link<Taker>) {
        *self.0.lock() = Way::Known(link);
    }
}
