//! Sockets as the rest of the crate uses them: what the standard library and tokio have, of either family, as one.

mod socket;
mod transport;

pub(crate) use socket::Socket;
pub(crate) use transport::{Acceptor, Transport};
