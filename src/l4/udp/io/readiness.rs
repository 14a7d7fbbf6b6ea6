use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::l4::udp::flows::FlowId;

use super::BATCH;

/// Which flows' endpoints have sent something.
///
/// The sockets are watched by an epoll instance that is itself watched by the runtime: a flow costs neither a
/// registration there nor a task, and one wake-up serves all flows that have something.
pub(in crate::l4::udp) struct Readiness {
    epoll: AsyncFd<Descriptor>,
    events: [EpollEvent; BATCH],
}

/// Adds sockets to what is watched; a socket that is closed is watched no longer.
#[derive(Clone, Debug)]
pub(in crate::l4::udp) struct Watcher(Arc<Epoll>);

#[derive(Debug)]
struct Descriptor(Arc<Epoll>);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Readiness {
    pub(in crate::l4::udp) fn new() -> io::Result<(Self, Watcher)> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        #[expect(
            deprecated,
            reason = "its successor is unsafe; this descriptor is open for as long as its owner lives"
        )]
        let watched = AsyncFd::with_interest(Descriptor(epoll.clone()), Interest::READABLE)?;
        Ok((Self { epoll: watched, events: [EpollEvent::empty(); BATCH] }, Watcher(epoll)))
    }

    /// Waits until there may be something.
    pub(in crate::l4::udp) async fn wait(&self) -> io::Result<()> {
        // What there is is known only when it was looked for.
        self.epoll.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// The flows whose sockets have something, or an error, to be read. It is told again for as long as it was not.
    pub(in crate::l4::udp) fn look(&mut self) -> io::Result<impl Iterator<Item = FlowId>> {
        let events = &mut self.events;
        let count = self.epoll.try_io(Interest::READABLE, |epoll| match epoll.0.wait(events, 0u8)? {
            // Only now nothing was left, so that the next thing wakes the runtime.
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        })?;
        Ok(self.events[..count].iter().map(|event| FlowId::from_bits(event.data())))
    }
}

impl Watcher {
    pub(super) fn add(&self, socket: &std::net::UdpSocket, id: FlowId) -> nix::Result<()> {
        self.0.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, id.to_bits()))
    }
}
