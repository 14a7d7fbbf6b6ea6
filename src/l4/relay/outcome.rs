use tokio::time::Instant;

/// Why a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides had said all they had to say.
    Finished,
    /// One side's connection broke; the other's was reset, too.
    Reset,
    /// No byte passed in either direction for as long as a connection may rest.
    IdleTimeout,
    /// The connection was as old as one may become.
    LifetimeOver,
    /// The relay was told to stop.
    Cut,
}

/// Who made an end of it: of [`End::Finished`] who said so first, of [`End::Reset`] whose connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClosedBy {
    Client,
    Endpoint,
    /// A limit, or an order.
    Edge,
}

/// What a relay came to.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) end: End,
    pub(crate) closed_by: ClosedBy,
    /// From the client to the endpoint; handed to the endpoint's socket.
    pub(crate) bytes_in: u64,
    /// From the endpoint to the client; handed to the client's socket.
    pub(crate) bytes_out: u64,
    /// When the endpoint's first byte came.
    pub(crate) first_byte: Option<Instant>,
    /// Whether that came, or the connection held for a while without it.
    pub(crate) is_answered: bool,
}
