use std::io::{IoSlice, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmsg, sendmmsg};
use smallvec::SmallVec;

use crate::l4::udp::flows::FlowKey;

use super::{Arena, BATCH, Train};

/// Responses on their way to clients, gathered so that one system call sends many.
pub(in crate::l4::udp) struct Outbox {
    /// Where responses come from if they are told to come from nowhere else; `None` on a socket that is bound to no
    /// certain address.
    bound: Option<IpAddr>,
    letters: Vec<Letter>,
    controls: Vec<u8>,
}

/// A train for a client. It stands in the arena from `start` on.
#[derive(Clone, Copy, Debug)]
struct Letter {
    slot: usize,
    start: usize,
    train: Train,
    to: FlowKey,
}

/// What letters must have in common to be sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    from: Option<IpAddr>,
    segment: Option<u16>,
}

impl Outbox {
    pub(in crate::l4::udp) fn new(bound: IpAddr) -> Self {
        let bound = (!bound.is_unspecified()).then_some(bound);
        Self { bound, letters: Vec::with_capacity(BATCH), controls: cmsg_space!(i32) }
    }

    pub(in crate::l4::udp) fn is_full(&self) -> bool {
        self.letters.len() == BATCH
    }

    /// Reads a train from an endpoint into the next free slot, where it stays only if it is [pushed](Self::push).
    pub(in crate::l4::udp) fn read(
        &mut self,
        from: &impl AsRawFd,
        arena: &mut Arena,
    ) -> nix::Result<Option<Train>> {
        let mut slices = [IoSliceMut::new(arena.slot(self.letters.len()))];
        let controls = Some(&mut self.controls[..]);
        let message = recvmsg::<()>(from.as_raw_fd(), &mut slices, controls, MsgFlags::MSG_DONTWAIT)?;
        Ok(Train::received(&message, |_| {}))
    }

    /// Has what was read last sent with the others.
    pub(in crate::l4::udp) fn push(&mut self, train: Train, to: FlowKey) {
        self.letters.push(Letter { slot: self.letters.len(), start: 0, train, to });
    }

    /// Sends everything. Returns the number of datagrams that could not be.
    pub(in crate::l4::udp) fn flush(&mut self, socket: &impl AsRawFd, arena: &Arena) -> u64 {
        let mut lost = 0;
        for alike in self.letters.chunk_by(|a, b| self.stamp(a) == self.stamp(b)) {
            lost += self.send(socket, arena, alike);
        }
        self.letters.clear();
        lost
    }

    fn stamp(&self, letter: &Letter) -> Stamp {
        let from = (self.bound.is_none()).then_some(letter.to.reached);
        Stamp { from, segment: letter.train.segment() }
    }

    /// Sends letters with the same stamp. Returns the number of datagrams that could not be sent.
    fn send(&self, socket: &impl AsRawFd, arena: &Arena, mut alike: &[Letter]) -> u64 {
        let datagrams =
            |letters: &[Letter]| letters.iter().map(|letter| letter.train.volume().datagrams).sum::<u64>();
        let mut lost = 0;
        while let [first, rest @ ..] = alike {
            match send_alike(socket, arena, alike, self.stamp(first)) {
                Ok(sent) => alike = &alike[sent.max(1)..],
                Err(Errno::EINTR) => {}
                // The socket's buffer is full, and the rest would meet the same.
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return lost + datagrams(alike),
                Err(_) if first.train.segment().is_some() => {
                    lost += self.send_singly(socket, arena, first);
                    alike = rest;
                }
                Err(_) => {
                    lost += 1;
                    alike = rest;
                }
            }
        }
        lost
    }

    /// For trains that the kernel or the network card cannot cut: a datagram of them may be longer than a packet.
    fn send_singly(&self, socket: &impl AsRawFd, arena: &Arena, letter: &Letter) -> u64 {
        let single = |(start, train)| Letter { start: letter.start + start, train, ..*letter };
        let singles: SmallVec<[Letter; BATCH]> = letter.train.datagrams().map(single).collect();
        singles.chunks(BATCH).map(|singles| self.send(socket, arena, singles)).sum()
    }
}

/// Returns how many were sent, from the first on.
fn send_alike(socket: &impl AsRawFd, arena: &Arena, letters: &[Letter], stamp: Stamp) -> nix::Result<usize> {
    let slices: SmallVec<[_; BATCH]> = letters.iter().map(|letter| [letter.slice(arena)]).collect();
    let addresses: SmallVec<[_; BATCH]> =
        letters.iter().map(|letter| Some(SockaddrStorage::from(letter.to.client))).collect();
    let mut v4 =
        in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: in_addr { s_addr: 0 }, ipi_addr: in_addr { s_addr: 0 } };
    let mut v6 = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: [0; 16] }, ipi6_ifindex: 0 };
    let mut controls = SmallVec::<[ControlMessage<'_>; 2]>::new();
    match stamp.from {
        Some(IpAddr::V4(ip)) => {
            v4.ipi_spec_dst.s_addr = u32::from_ne_bytes(ip.octets());
            controls.push(ControlMessage::Ipv4PacketInfo(&v4));
        }
        Some(IpAddr::V6(ip)) => {
            v6.ipi6_addr.s6_addr = ip.octets();
            controls.push(ControlMessage::Ipv6PacketInfo(&v6));
        }
        None => {}
    }
    controls.extend(stamp.segment.as_ref().map(ControlMessage::UdpGsoSegments));
    let mut headers = MultiHeaders::preallocate(letters.len(), stamp.room());
    let flags = MsgFlags::MSG_DONTWAIT;
    sendmmsg(socket.as_raw_fd(), &mut headers, slices.iter(), &addresses, &controls[..], flags)
        .map(Iterator::count)
}

impl Stamp {
    /// Room for just the control messages that say the same.
    fn room(self) -> Option<Vec<u8>> {
        match (self.from, self.segment) {
            (None, None) => None,
            (None, Some(_)) => Some(cmsg_space!(u16)),
            (Some(IpAddr::V4(_)), None) => Some(cmsg_space!(in_pktinfo)),
            (Some(IpAddr::V4(_)), Some(_)) => Some(cmsg_space!(in_pktinfo, u16)),
            (Some(IpAddr::V6(_)), None) => Some(cmsg_space!(in6_pktinfo)),
            (Some(IpAddr::V6(_)), Some(_)) => Some(cmsg_space!(in6_pktinfo, u16)),
        }
    }
}

impl Letter {
    fn slice<'a>(&self, arena: &'a Arena) -> IoSlice<'a> {
        let whole = Train::new(self.start + self.train.len, None);
        IoSlice::new(&arena.bytes_of(self.slot, whole)[self.start..])
    }
}
