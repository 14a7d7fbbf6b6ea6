use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::time_provider::{DefaultTimeProvider, TimeProvider};

/// The time of day: the system's, or that of a test.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<dyn TimeProvider>);

pub(crate) fn system_clock() -> Clock {
    Clock::new(DefaultTimeProvider)
}

impl Clock {
    pub(super) fn new(provider: impl TimeProvider + 'static) -> Self {
        Self(Arc::new(provider))
    }

    /// Since 1970. A clock that cannot tell shows 0, when no certificate was valid.
    pub(super) fn seconds(&self) -> u64 {
        self.0.current_time().map_or(0, |time| time.as_secs())
    }

    pub(super) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds())
    }

    /// As rustls takes it.
    pub(super) fn provider(&self) -> Arc<dyn TimeProvider> {
        self.0.clone()
    }
}
