use std::io::{IoSlice, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use smallvec::SmallVec;

use crate::l4::udp::flows::{FlowKey, Volume};

use super::train::joined;
use super::{Arena, BATCH, Train};

/// Responses on their way to clients, gathered so that one system call sends many.
pub(in crate::l4::udp) struct Outbox {
    /// Where responses come from if they are told to come from nowhere else; `None` on a socket that is bound to no
    /// certain address.
    bound: Option<IpAddr>,
    letters: Vec<Letter>,
}

/// A train for a client. It stands in its slot from `start` on.
#[derive(Clone, Copy, Debug)]
struct Letter {
    slot: usize,
    start: usize,
    train: Train,
    to: FlowKey,
}

/// Letters to one client that the kernel takes as one train.
#[derive(Clone, Copy, Debug)]
struct Parcel<'a> {
    letters: &'a [Letter],
    to: FlowKey,
    stamp: Stamp,
}

/// What parcels must have in common to be sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    from: Option<IpAddr>,
    segment: Option<u16>,
}

/// So many trains are read from an endpoint before another has its turn.
const TURN: usize = 8;

/// What was read from an endpoint: trains in slots that follow each other.
pub(in crate::l4::udp) type Incoming = SmallVec<[(usize, Train); TURN]>;

impl Outbox {
    pub(in crate::l4::udp) fn new(bound: IpAddr) -> Self {
        let bound = (!bound.is_unspecified()).then_some(bound);
        Self { bound, letters: Vec::with_capacity(BATCH) }
    }

    /// Whether there is no room left for all that an endpoint may send in its turn.
    pub(in crate::l4::udp) fn is_full(&self) -> bool {
        self.next_slot() + TURN > BATCH
    }

    fn next_slot(&self) -> usize {
        self.letters.last().map_or(0, |letter| letter.slot + 1)
    }

    /// Reads what an endpoint sent into free slots, where it stays only if it is [pushed](Self::push).
    pub(in crate::l4::udp) fn read(&self, from: &impl AsRawFd, arena: &mut Arena) -> nix::Result<Incoming> {
        // Made anew for each turn, as for each batch of clients.
        let mut headers = MultiHeaders::<()>::preallocate(TURN, Some(cmsg_space!(i32)));
        let mut slots = arena.slots().skip(self.next_slot());
        let mut slices: [_; TURN] =
            std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_DONTWAIT;
        let received = recvmmsg(from.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None)?;
        let in_slots = received.zip(self.next_slot()..);
        Ok(in_slots.filter_map(|(message, slot)| Some((slot, Train::received(&message, |_| {})?))).collect())
    }

    /// Has what was read sent with the others.
    pub(in crate::l4::udp) fn push(&mut self, slot: usize, train: Train, to: FlowKey) {
        self.letters.push(Letter { slot, start: 0, train, to });
    }

    /// Sends everything. Returns the number of datagrams that could not be.
    pub(in crate::l4::udp) fn flush(&mut self, socket: &impl AsRawFd, arena: &Arena) -> u64 {
        let mut parcels = SmallVec::<[Parcel<'_>; BATCH]>::new();
        for to_one in self.letters.chunk_by(|a, b| a.to == b.to) {
            let mut rest = to_one;
            while let [first, ..] = rest {
                let (count, segment) = joined(rest.iter().map(|letter| letter.train));
                let (letters, later) = rest.split_at(count);
                parcels.push(Parcel { letters, to: first.to, stamp: self.stamp(first.to, segment) });
                rest = later;
            }
        }
        let alike = parcels.chunk_by(|a, b| a.stamp == b.stamp);
        let lost = alike.map(|alike| self.send(socket, arena, alike)).sum();
        drop(parcels);
        self.letters.clear();
        lost
    }

    fn stamp(&self, to: FlowKey, segment: Option<u16>) -> Stamp {
        Stamp { from: self.bound.is_none().then_some(to.reached), segment }
    }

    /// Sends parcels with the same stamp. Returns the number of datagrams that could not be sent.
    fn send(&self, socket: &impl AsRawFd, arena: &Arena, mut alike: &[Parcel<'_>]) -> u64 {
        let mut lost = 0;
        while let [first, rest @ ..] = alike {
            match send_alike(socket, arena, alike, first.stamp) {
                Ok(sent) => alike = &alike[sent.max(1)..],
                Err(Errno::EINTR) => {}
                // The socket's buffer is full, and the rest would meet the same.
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    return lost + alike.iter().map(Parcel::datagrams).sum::<u64>();
                }
                Err(_) if first.stamp.segment.is_some() => {
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
    fn send_singly(&self, socket: &impl AsRawFd, arena: &Arena, parcel: &Parcel<'_>) -> u64 {
        let split = |letter: &Letter| {
            let letter = *letter;
            letter.train.datagrams().map(move |(start, train)| Letter { start, train, ..letter })
        };
        let singles: SmallVec<[Letter; BATCH]> = parcel.letters.iter().flat_map(split).collect();
        let (to, stamp) = (parcel.to, self.stamp(parcel.to, None));
        let parcels: SmallVec<[_; BATCH]> =
            singles.chunks(1).map(|letters| Parcel { letters, to, stamp }).collect();
        parcels.chunks(BATCH).map(|alike| self.send(socket, arena, alike)).sum()
    }
}

/// Returns how many were sent, from the first on.
fn send_alike(
    socket: &impl AsRawFd,
    arena: &Arena,
    parcels: &[Parcel<'_>],
    stamp: Stamp,
) -> nix::Result<usize> {
    let letters = parcels.iter().flat_map(|parcel| parcel.letters);
    let slices: SmallVec<[_; BATCH]> = letters.map(|letter| letter.slice(arena)).collect();
    let mut rest = &slices[..];
    let messages: SmallVec<[_; BATCH]> =
        parcels.iter().map(|parcel| rest.split_off(..parcel.letters.len()).unwrap_or_default()).collect();
    let addresses: SmallVec<[_; BATCH]> =
        parcels.iter().map(|parcel| Some(SockaddrStorage::from(parcel.to.client))).collect();
    let none = in_addr { s_addr: 0 };
    let mut v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: none, ipi_addr: none };
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
    let mut headers = MultiHeaders::preallocate(parcels.len(), stamp.room());
    let flags = MsgFlags::MSG_DONTWAIT;
    let sent = sendmmsg(socket.as_raw_fd(), &mut headers, messages.iter(), &addresses, &controls[..], flags);
    sent.map(Iterator::count)
}

impl Parcel<'_> {
    fn datagrams(&self) -> u64 {
        self.letters.iter().map(|letter| letter.train.volume()).sum::<Volume>().datagrams
    }
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
