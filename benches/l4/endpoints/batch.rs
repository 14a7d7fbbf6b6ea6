use std::{
    io::{self, IoSlice, IoSliceMut},
    net::UdpSocket,
    os::fd::AsRawFd,
};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

/// The longest datagram of the benches.
pub(crate) const LONGEST: usize = 1500;

/// Datagrams that are received, or sent, with one system call.
pub(crate) struct Batch {
    datagrams: Vec<Datagram>,
    senders: Vec<Option<SockaddrIn>>,
    // Two, since what one call leaves in them means something else to the other.
    received: MultiHeaders<SockaddrIn>,
    sent: MultiHeaders<SockaddrIn>,
}

/// One datagram of a batch.
#[derive(Clone)]
struct Datagram {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Batch {
    /// At most so many datagrams at once.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            datagrams: vec![Datagram { bytes: [0; LONGEST], length: 0 }; size],
            senders: vec![None; size],
            received: MultiHeaders::preallocate(size, None),
            sent: MultiHeaders::preallocate(size, None),
        }
    }

    /// Waits for a datagram, and takes all that are there. Returns how many there are.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut lengths = Vec::with_capacity(self.datagrams.len());
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.datagrams.iter_mut().map(|datagram| [IoSliceMut::new(&mut datagram.bytes)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let messages = recvmmsg(socket.as_raw_fd(), &mut self.received, slices.iter_mut(), flags, None)?;
        for (message, sender) in messages.zip(&mut self.senders) {
            lengths.push(message.bytes);
            *sender = message.address;
        }
        let count = lengths.len();
        for (datagram, length) in self.datagrams.iter_mut().zip(lengths) {
            datagram.length = length;
        }
        Ok(count)
    }

    /// Sends the first `count` datagrams back to where they came from.
    pub(crate) fn send_back(&mut self, socket: &UdpSocket, count: usize) -> io::Result<()> {
        let slices: Vec<[IoSlice<'_>; 1]> =
            self.datagrams.iter().take(count).map(|datagram| [IoSlice::new(datagram.content())]).collect();
        let senders = self.senders.get(..count).unwrap_or_default();
        sendmmsg(socket.as_raw_fd(), &mut self.sent, &slices, senders, [], MsgFlags::empty())?;
        Ok(())
    }

    /// Fills the first `count` datagrams with `content`, to go to whom the socket is connected to.
    pub(crate) fn fill(&mut self, count: usize, content: &[u8]) {
        for (datagram, sender) in self.datagrams.iter_mut().zip(&mut self.senders).take(count) {
            let length = content.len().min(LONGEST);
            datagram.bytes[..length].copy_from_slice(&content[..length]);
            datagram.length = length;
            *sender = None;
        }
    }

    /// The first `count` datagrams.
    pub(crate) fn contents(&self, count: usize) -> impl Iterator<Item = &[u8]> {
        self.datagrams.iter().take(count).map(Datagram::content)
    }
}

impl Datagram {
    fn content(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
