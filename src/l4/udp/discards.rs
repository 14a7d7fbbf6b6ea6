use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::types::Rarely;

/// Why a datagram went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discard {
    /// No endpoint is fit.
    NobodyFit,
    /// Every endpoint has as many flows as it may.
    NoRoom,
    /// The policy panicked.
    PolicyFailed,
    /// No endpoint that was picked could be sent to.
    Unreachable,
    /// The process has no socket left: neither a descriptor, nor a port, nor memory.
    NoSocket,
    /// There are as many flows as there may be, and none of them is of this socket.
    Full,
    /// No flow begins any more.
    Draining,
    /// The kernel took it from us, but had no room, or no way for it.
    NotSent,
    /// The process that serves the client took no more.
    NotPassed,
}

/// The datagrams of a listener that went nowhere, by reason.
#[derive(Debug, Default)]
pub(crate) struct Discards {
    by_reason: [Entry; Discard::ALL.len()],
}

#[derive(Debug, Default)]
struct Entry {
    datagrams: AtomicU64,
    told: Rarely,
}

impl Discard {
    pub(crate) const ALL: [Self; 9] = [
        Self::NobodyFit,
        Self::NoRoom,
        Self::PolicyFailed,
        Self::Unreachable,
        Self::NoSocket,
        Self::Full,
        Self::Draining,
        Self::NotSent,
        Self::NotPassed,
    ];

    /// As logs have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NobodyFit => "no endpoint is fit",
            Self::NoRoom => "no endpoint has room",
            Self::PolicyFailed => "the policy failed",
            Self::Unreachable => "endpoints cannot be reached",
            Self::NoSocket => "no socket is left",
            Self::Full => "too many flows",
            Self::Draining => "the listener drains",
            Self::NotSent => "the kernel did not send them",
            Self::NotPassed => "the other process takes no more",
        }
    }
}

impl Discards {
    pub(crate) fn of(&self, reason: Discard) -> u64 {
        self.by_reason[reason as usize].datagrams.load(Ordering::Relaxed)
    }

    pub(crate) fn total(&self) -> u64 {
        Discard::ALL.into_iter().map(|reason| self.of(reason)).sum()
    }

    /// Counts datagrams. Returns how many there are by now, if that may be told.
    pub(super) fn count(&self, reason: Discard, datagrams: u64, now: Instant) -> Option<u64> {
        let entry = &self.by_reason[reason as usize];
        let total = entry.datagrams.fetch_add(datagrams, Ordering::Relaxed) + datagrams;
        entry.told.may_tell(now).then_some(total)
    }
}
