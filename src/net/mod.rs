//! Sockets as the rest of the crate uses them: what the standard library and tokio have, of either family, as one.

mod shortage;
mod socket;
mod socket_file;
mod transport;

pub(crate) use shortage::is_shortage;
pub(crate) use socket::Socket;
pub(crate) use socket_file::SocketFile;
pub(crate) use transport::{Acceptor, Transport};
