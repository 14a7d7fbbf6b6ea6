//! Sockets of the UDP proxy: many datagrams in few system calls.
//!
//! Datagrams travel as [`Train`]s: where the kernel joins several of one sender (UDP_GRO), they stay together until they
//! are handed to the kernel again (UDP_SEGMENT), and those of one length that follow each other are joined there, too.
//! That saves each of them the way through the kernel. All buffers belong to the driver; a flow has none.

mod inbox;
mod outbox;
mod readiness;
mod train;
mod uplink;

pub(super) use inbox::{Arrival, prepare, receive};
pub(super) use outbox::Outbox;
pub(super) use readiness::{Readiness, Watcher};
pub(super) use train::Train;
pub(super) use uplink::Dialer;

/// So many datagrams, or trains of them, are handled at once.
pub(super) const BATCH: usize = 32;

/// No datagram is longer (RFC 768), and neither is what the kernel joins, so nothing is ever cut off.
const SLOT: usize = 1 << 16;

/// Room for a batch. Its pages are taken from the machine only where long datagrams come.
pub(super) struct Arena {
    bytes: Vec<u8>,
}

impl Arena {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BATCH * SLOT] }
    }

    /// What a train holds.
    pub(super) fn bytes_of(&self, slot: usize, train: Train) -> &[u8] {
        &self.bytes[slot * SLOT..][..train.len]
    }

    /// Puts a train into a slot.
    pub(super) fn put(&mut self, slot: usize, bytes: &[u8]) {
        self.bytes[slot * SLOT..][..bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_exact_mut(SLOT)
    }
}
