use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, SetSockOpt, send, sendmsg, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::l4::udp::flows::FlowId;
use crate::l4::udp::uplinks::Dial;

use super::{Train, Watcher};

/// A flow's own socket, connected to its endpoint: the kernel hands it only what comes from there, and tells it when
/// nobody listens there.
#[derive(Debug)]
pub(in crate::l4::udp) struct Uplink(UdpSocket);

/// Makes sockets that are watched from the beginning.
#[derive(Debug)]
pub(in crate::l4::udp) struct Dialer {
    watcher: Watcher,
}

/// What became of a train that was not sent as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::l4::udp) enum SendError {
    /// So many of its datagrams were dropped.
    Dropped(u64),
    /// The endpoint is gone, and nothing of the train was sent.
    Lost(Errno),
}

impl Dialer {
    pub(in crate::l4::udp) fn new(watcher: Watcher) -> Self {
        Self { watcher }
    }
}

impl Dial for Dialer {
    type Socket = Uplink;

    fn dial(&mut self, id: FlowId, to: SocketAddr) -> nix::Result<Uplink> {
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new_raw(Domain::for_address(to), kind, Some(Protocol::UDP)).map_err(errno)?;
        socket.connect(&to.into()).map_err(errno)?;
        let socket = UdpSocket::from(socket);
        let _ = sockopt::UdpGroSegment.set(&socket, &true);
        self.watcher.add(&socket, id)?;
        Ok(Uplink(socket))
    }
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

impl AsRawFd for Uplink {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Uplink {
    /// Sends a train to the endpoint.
    pub(in crate::l4::udp) fn send(&self, train: Train, bytes: &[u8]) -> Result<(), SendError> {
        let Some(segment) = train.segment() else {
            return self.send_one(bytes).map_err(|error| SendError::of(error, 1));
        };
        let slices = [IoSlice::new(bytes)];
        let cut = [ControlMessage::UdpGsoSegments(&segment)];
        match sendmsg::<()>(self.as_raw_fd(), &slices, &cut, MsgFlags::MSG_DONTWAIT, None) {
            Ok(_) => Ok(()),
            // A datagram of it may be longer than a packet, or the network card may be unable to cut it.
            Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO) => self.send_singly(train, bytes),
            Err(error) => Err(SendError::of(error, train.volume().datagrams)),
        }
    }

    fn send_one(&self, datagram: &[u8]) -> nix::Result<()> {
        send(self.as_raw_fd(), datagram, MsgFlags::MSG_DONTWAIT).map(drop)
    }

    fn send_singly(&self, train: Train, bytes: &[u8]) -> Result<(), SendError> {
        let mut dropped = 0;
        for (start, one) in train.datagrams() {
            match self.send_one(&bytes[start..][..one.len]).map_err(|error| SendError::of(error, 1)) {
                Err(lost @ SendError::Lost(_)) if start == 0 => return Err(lost),
                Err(_) => dropped += 1,
                Ok(()) => {}
            }
        }
        if dropped == 0 { Ok(()) } else { Err(SendError::Dropped(dropped)) }
    }
}

impl SendError {
    fn of(error: Errno, datagrams: u64) -> Self {
        match error {
            // Full buffers, a length that no packet has, and the rules of this machine say nothing of the endpoint.
            Errno::EAGAIN
            | Errno::ENOBUFS
            | Errno::ENOMEM
            | Errno::EINTR
            | Errno::EMSGSIZE
            | Errno::EPERM => Self::Dropped(datagrams),
            gone => Self::Lost(gone),
        }
    }
}
