use std::fmt;

use tokio::time::Instant;

/// State of a hook that can be handed to the process that takes this one's place; see
/// [`BuildCx::keep_exported`](super::BuildCx::keep_exported).
pub trait Export: Send + Sync + Sized + 'static {
    /// The state in bytes that mean something to another process: times as durations from `now`, nothing that is an
    /// address. Requests go on meanwhile. At most 64 MiB are handed over; take what matters most.
    fn export(&self, now: Instant) -> Vec<u8>;

    /// Puts what another process has exported at the time `at` into a state that was just made. It may have been an
    /// older or newer version of the program.
    ///
    /// # Errors
    /// When the bytes cannot be read. The state is to be as before then: it is used as it is, and a warning tells why.
    fn import(&mut self, bytes: &[u8], at: Instant) -> Result<(), ImportError>;
}

/// Why exported state cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError(String);

impl ImportError {
    /// `message` is lower case and says what was found.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ImportError {}
