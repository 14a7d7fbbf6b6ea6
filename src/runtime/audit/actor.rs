use std::net::SocketAddr;

use crate::types::TokenName;

use super::super::Why;

/// Who asks for a change, and through which door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(super) who: String,
    pub(super) from: String,
    why: Why,
}

/// Where those stand who are on no network.
const CONTROL_SOCKET: &str = "control socket";
const UNIX_SOCKET: &str = "unix socket";

impl Actor {
    /// A user of this machine, on the control socket.
    pub(crate) fn user(uid: u32) -> Self {
        Self { who: format!("uid {uid}"), from: CONTROL_SOCKET.to_owned(), why: Why::Command }
    }

    /// Whoever has this token, on the admin listener.
    pub(crate) fn token(name: &TokenName, peer: Option<SocketAddr>) -> Self {
        Self { who: format!("token {name}"), from: place(peer), why: Why::Command }
    }

    /// Somebody on the admin listener of whom nothing is known.
    pub(crate) fn nobody(peer: Option<SocketAddr>) -> Self {
        Self { who: "nobody known".to_owned(), from: place(peer), why: Why::Command }
    }

    /// Several of those, who are not told apart.
    pub(super) fn unlisted() -> Self {
        Self { who: "nobody known".to_owned(), from: "several".to_owned(), why: Why::Command }
    }

    /// The process itself: because of a signal, a file that changed, a probation, or the program that it is a part of.
    pub(crate) fn itself(why: Why) -> Self {
        let from = match why {
            Why::Signal => "signal",
            Why::Watch => "server.watch",
            other => other.as_str(),
        };
        Self { who: "process".to_owned(), from: from.to_owned(), why }
    }

    /// What a generation that it has made is said to come from.
    pub(crate) fn why(&self) -> Why {
        self.why
    }
}

fn place(peer: Option<SocketAddr>) -> String {
    peer.map_or_else(|| UNIX_SOCKET.to_owned(), |peer| peer.to_string())
}
