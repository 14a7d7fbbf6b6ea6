use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use rustix::net::sockopt::set_tcp_cork;

/// Keeps a request for an upgrade from its endpoint until Pingora has taken note that the request has no body.
///
/// Pingora reads the answer and the end of the request at once, in any order. Where a 101 is read first, the end of the
/// request, which comes second, counts as the end of the tunnel, and it is torn down as soon as it stands. What is
/// written while the endpoint's socket is corked leaves only when the cork is pulled, so there is no answer before: the
/// cork travels as the empty last piece of the request, and is pulled where Pingora drops that piece.
///
/// Nothing is lost where a socket cannot be corked, as those of Unix cannot: the order is then left to chance.
#[derive(Debug)]
pub(super) struct Cork(OwnedFd);

impl Cork {
    /// Corks a socket; `None` where that cannot be done.
    pub(super) fn put(socket: impl AsFd) -> Option<Self> {
        set_tcp_cork(&socket, true).ok()?;
        match socket.as_fd().try_clone_to_owned() {
            Ok(socket) => Some(Self(socket)),
            Err(_) => {
                let _ = set_tcp_cork(&socket, false);
                None
            }
        }
    }

    /// An empty piece of a body that pulls the cork when it is dropped.
    pub(super) fn into_piece(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Cork {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl Drop for Cork {
    fn drop(&mut self) {
        // A socket that is gone needs no pulling.
        let _ = set_tcp_cork(&self.0, false);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use rustix::net::sockopt::tcp_cork;

    use super::*;

    #[test]
    fn the_cork_is_pulled_with_its_piece() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let piece = Cork::put(&socket).unwrap().into_piece();
        assert!(piece.is_empty() && tcp_cork(&socket).unwrap());
        drop(piece);
        assert!(!tcp_cork(&socket).unwrap());
    }

    #[test]
    fn a_socket_of_unix_has_none() {
        let (socket, _) = UnixStream::pair().unwrap();
        assert!(Cork::put(&socket).is_none());
    }
}
