use std::fmt;

/// What a listener has to do at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListenerCounts {
    /// Connections, or flows of datagrams.
    pub(crate) open: usize,
    /// Connections that were closed at once since the start, because a limit was reached.
    pub(crate) refused: u64,
    /// Datagrams that went nowhere since the start.
    pub(crate) dropped: u64,
}

/// Whoever accepts for a listener, and knows its counts.
pub(crate) trait Counted: fmt::Debug + Send + Sync {
    fn counts(&self) -> ListenerCounts;
}
