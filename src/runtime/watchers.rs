use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::time::Instant;

use crate::types::ListenerName;

use super::pace::Pace;
use super::recording::Recording;
use super::tap::Taps;

/// Who wants to know what becomes of requests. While nobody does, a request pays for one look.
#[derive(Debug)]
pub(crate) struct Watchers {
    uses: AtomicU8,
    pub(super) taps: Taps,
    /// Of answers that tell what became of their requests.
    debug_pace: Pace,
}

impl Default for Watchers {
    fn default() -> Self {
        /// Signatures are for people, who send one request at a time.
        const DEBUGGED_A_SECOND: u32 = 10;

        Self { uses: AtomicU8::new(0), taps: Taps::default(), debug_pace: Pace::a_second(DEBUGGED_A_SECOND) }
    }
}

/// What a recording is for, of all that one may be for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses(u8);

impl Uses {
    pub(crate) const NONE: Self = Self(0);
    /// Somebody looks at requests as they end.
    pub(crate) const TAP: Self = Self(1);
    /// Spans are made of requests.
    pub(crate) const TRACE: Self = Self(2);
    /// Clients with the debug key may ask what became of theirs.
    pub(crate) const DEBUG: Self = Self(4);
    /// Somebody looks at requests as they end, and has been told of as many as may be in this second: one that is like what is
    /// wanted is counted.
    pub(crate) const COUNTED: Self = Self(8);

    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether somebody is told how each decision came about; else it is enough what was decided.
    pub(crate) fn wants_reasons(self) -> bool {
        self.has(Self::TAP.with(Self::DEBUG))
    }

    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Watchers {
    /// What recordings are wanted for at this moment.
    pub(crate) fn uses(&self) -> Uses {
        Uses(self.uses.load(Ordering::Relaxed))
    }

    /// Whether recordings are wanted for this from now on.
    pub(crate) fn set(&self, one: Uses, is_wanted: bool) {
        if is_wanted {
            self.uses.fetch_or(one.0, Ordering::Relaxed);
        } else {
            self.uses.fetch_and(!one.0, Ordering::Relaxed);
        }
    }

    /// Tells all that want to know of a request that is over.
    pub(crate) fn tell(&self, recording: &Arc<Recording>) {
        if recording.uses.has(Uses::TAP.with(Uses::COUNTED)) {
            self.taps.tell(recording);
        }
    }

    /// What a recording of a request is wanted for, by what is known when its head has come.
    pub(crate) fn wants(&self, client: IpAddr, listener: &ListenerName, now: Instant) -> Uses {
        if self.uses().has(Uses::TAP) { self.taps.want(client, listener, now) } else { Uses::NONE }
    }

    /// Whether another client with the debug key may be told.
    pub(crate) fn may_debug(&self, now: Instant) -> bool {
        self.debug_pace.permits(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_come_and_go_by_themselves() {
        let watchers = Watchers::default();
        assert!(watchers.uses().is_none());
        watchers.set(Uses::TAP, true);
        watchers.set(Uses::DEBUG, true);
        watchers.set(Uses::TAP, false);
        assert!(watchers.uses().has(Uses::DEBUG) && !watchers.uses().has(Uses::TAP));
        assert_eq!(Uses::TAP.with(Uses::DEBUG), Uses(5));
    }
}
