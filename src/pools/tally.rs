//! What attempts come to at an endpoint, and at all of its pool with those that have left it, for metrics alone.

use crate::types::Counter;

use super::endpoint::Endpoint;
use super::failure::Fault;
use super::pool::Pool;

/// What was counted since the process began.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    connections: Counter,
    sent: Counter,
    received: Counter,
    faults: [Counter; Fault::WORDS.len()],
}

/// Bytes of an exchange that are not counted yet. They are counted in portions: a piece costs an addition to memory that is
/// the exchange's own, and one that lasts for days is seen while it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uncounted {
    sent: u64,
    received: u64,
}

const PORTION: u64 = 64 * 1024;

impl Tally {
    /// Connections that were made to the endpoint, for requests or for clients of TCP.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// Bytes that were sent to the endpoint.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Bytes that came from the endpoint.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Each word for why attempts failed with its count, if there is any.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.faults.iter().map(Counter::get);
        Fault::WORDS.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }

    fn count_bytes(&self, Uncounted { sent, received }: Uncounted) {
        // A count that is not written stays in everybody's cache.
        if sent > 0 {
            self.sent.add(sent);
        }
        if received > 0 {
            self.received.add(received);
        }
    }
}

impl Uncounted {
    /// Bytes on their way to the endpoint.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// Bytes that came from it.
    pub(crate) fn received(&mut self, bytes: u64) {
        self.received += bytes;
    }

    /// Whether there are enough of them to be counted.
    pub(crate) fn is_due(&self) -> bool {
        self.sent + self.received >= PORTION
    }

    /// Counts them for the endpoint that they went to and came from.
    pub(crate) fn settle(&mut self, endpoint: &Endpoint) {
        let uncounted = std::mem::take(self);
        endpoint.tallies().iter().for_each(|tally| tally.count_bytes(uncounted));
    }
}

impl Endpoint {
    pub(crate) fn tally(&self) -> &Tally {
        &self.record().tally
    }

    /// Counts a connection that was made to it.
    pub(crate) fn note_connection(&self) {
        self.tallies().iter().for_each(|tally| tally.connections.count());
    }

    /// Counts bytes of a body that were written to it.
    pub(super) fn note_sent(&self, bytes: u64) {
        Uncounted { sent: bytes, received: 0 }.settle(self);
    }

    /// Counts bytes of a body that came from it.
    pub(super) fn note_received(&self, bytes: u64) {
        Uncounted { sent: 0, received: bytes }.settle(self);
    }

    pub(super) fn note_fault(&self, fault: Fault) {
        self.tallies().iter().for_each(|tally| tally.faults[fault as usize].count());
    }

    /// Where it counts: at itself, and at its pool.
    fn tallies(&self) -> [&Tally; 2] {
        [self.tally(), self.record().pool_tally()]
    }
}

impl Pool {
    pub(crate) fn tally(&self) -> &Tally {
        &self.lineage.tally
    }
}
