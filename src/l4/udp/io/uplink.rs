use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, SetSockOpt, send, sendmsg, sockopt};
use smallvec::SmallVec;
use socket2::{Domain, Protocol, Socket, Type};

use crate::l4::udp::flows::{FlowId, Volume};
use crate::l4::udp::uplinks::Dial;

use super::train::joined;
use super::{Arena, Arrival, BATCH, Watcher};

/// A flow's own socket, connected to its endpoint: the kernel hands it only what comes from there, and tells it when
/// nobody listens there.
#[derive(Debug)]
pub(in crate::l4::udp) struct Uplink(UdpSocket);

/// Makes sockets that are watched from the beginning.
#[derive(Debug)]
pub(in crate::l4::udp) struct Dialer {
    watcher: Watcher,
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
        let socket = Socket::new_raw(Domain::for_address(to), kind, Some(Protocol::UDP))
            .map_err(|error| errno(&error))?;
        socket.connect(&to.into()).map_err(|error| errno(&error))?;
        let socket = UdpSocket::from(socket);
        let _ = sockopt::UdpGroSegment.set(&socket, &true);
        self.watcher.add(&socket, id)?;
        Ok(Uplink(socket))
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

impl AsRawFd for Uplink {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Uplink {
    /// Sends what a client sent to the endpoint. Returns how many datagrams were dropped, for lack of room or since no
    /// packet is so long.
    ///
    /// # Errors
    /// When the endpoint is gone. Whatever was sent before is lost, too.
    pub(in crate::l4::udp) fn send(&self, mut arrivals: &[Arrival], arena: &Arena) -> nix::Result<u64> {
        let mut dropped = 0;
        while !arrivals.is_empty() {
            let (count, segment) = joined(arrivals.iter().map(|arrival| arrival.train));
            let (together, later) = arrivals.split_at(count);
            dropped += match segment {
                Some(segment) => self.send_joined(together, segment, arena)?,
                None => self.send_singly(together, arena)?,
            };
            arrivals = later;
        }
        Ok(dropped)
    }

    fn send_joined(&self, arrivals: &[Arrival], segment: u16, arena: &Arena) -> nix::Result<u64> {
        let slices: SmallVec<[_; BATCH]> = arrivals
            .iter()
            .map(|arrival| IoSlice::new(arena.bytes_of(arrival.slot, arrival.train)))
            .collect();
        let cut = [ControlMessage::UdpGsoSegments(&segment)];
        match sendmsg::<()>(self.as_raw_fd(), &slices, &cut, MsgFlags::MSG_DONTWAIT, None) {
            Ok(_) => Ok(0),
            // A datagram of it may be longer than a packet, or the network card may be unable to cut it.
            Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO) => self.send_singly(arrivals, arena),
            Err(error) => {
                let volume: Volume = arrivals.iter().map(|arrival| arrival.train.volume()).sum();
                dropped_or_gone(error, volume.datagrams)
            }
        }
    }

    fn send_singly(&self, arrivals: &[Arrival], arena: &Arena) -> nix::Result<u64> {
        let mut dropped = 0;
        for arrival in arrivals {
            let bytes = arena.bytes_of(arrival.slot, arrival.train);
            for (start, one) in arrival.train.datagrams() {
                let sent = send(self.as_raw_fd(), &bytes[start..][..one.len], MsgFlags::MSG_DONTWAIT);
                dropped += sent.map(|_| 0).or_else(|error| dropped_or_gone(error, 1))?;
            }
        }
        Ok(dropped)
    }
}

fn dropped_or_gone(error: Errno, datagrams: u64) -> nix::Result<u64> {
    match error {
        // Full buffers, a length that no packet has, and the rules of this machine say nothing of the endpoint.
        Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EINTR | Errno::EMSGSIZE | Errno::EPERM => {
            Ok(datagrams)
        }
        gone => Err(gone),
    }
}
