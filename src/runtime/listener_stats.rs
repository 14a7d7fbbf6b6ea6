use crate::types::Counter;

use super::CauseCounts;

/// What the connections of a listener came to since the process began; by its name it goes on over reloads.
#[derive(Debug, Default)]
pub(crate) struct ListenerStats {
    accepted: Counter,
    handshakes: [Counter; HANDSHAKES],
    /// What was refused before it was a request.
    pub(crate) refused: CauseCounts,
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeEnd {
    /// With a session that was made anew.
    Full,
    /// With one that the client had before.
    Resumed,
    /// Not at all.
    Failed,
    TimedOut,
}

const HANDSHAKES: usize = 4;

impl HandshakeEnd {
    /// All there are, as labels of metrics.
    pub(crate) const NAMES: [&str; HANDSHAKES] = ["full", "resumed", "failed", "timed_out"];
}

impl ListenerStats {
    /// Counts a connection, or a flow of datagrams.
    pub(crate) fn count_accepted(&self) {
        self.accepted.count();
    }

    pub(crate) fn count_handshake(&self, end: HandshakeEnd) {
        self.handshakes[end as usize].count();
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// By how they ended, in the order of [`HandshakeEnd::NAMES`].
    pub(crate) fn handshakes(&self) -> [u64; HANDSHAKES] {
        self.handshakes.each_ref().map(Counter::get)
    }
}
