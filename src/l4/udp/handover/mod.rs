//! A bound socket goes from one process to another, and its flows stay.
//!
//! Both processes have the socket. From some moment on only the *successor* reads it. The *predecessor* keeps its flows with
//! their own sockets, sends their answers itself, and is passed what their clients send. So it tells whose flows it has
//! before the successor reads its first datagram, and of each that ends. Between the two is one channel for each bound
//! socket; it keeps messages whole and in order, and it ends with either process.
//!
//! ```text
//! predecessor (Giver)                         successor (Taker)
//!   stops to read
//!   Keys, …, Told       ───────────────────▶  knows whose flows are there; begins to read
//!                       ◀───────────────────  Passed: a datagram of such a flow
//!   Ended: a flow       ───────────────────▶  holds what its client sends from here on
//!   Returned            ───────────────────▶  what was passed too late is served here
//!                       ◀───────────────────  Release: nothing more will be passed
//!   Released            ───────────────────▶  nothing more will be returned: what was held is served here
//! ```
//!
//! So each datagram is served by one of the two, and those of a client in the order in which they came. What the channel has
//! no room for is dropped and counted, except for messages about flows, which wait: no more than a few for each flow.
//! Where the channel ends, the successor takes all clients for its own.
//!
//! `giver` and `taker` know no channel; `message` is how it looks on one. A message of an unknown kind ends the channel, so
//! that a later version can have others.

mod channel;
mod giver;
mod link;
mod message;
mod predecessor;
mod steering;
mod taker;
#[cfg(test)]
mod tests;

pub(super) use channel::{Channel, Gathered, Sent};
pub(super) use giver::Giver;
pub(super) use link::Link;
pub(super) use message::{Broken, Kind};
pub(crate) use predecessor::Predecessor;
pub(super) use steering::Order;
pub(crate) use steering::{Steering, Turn};
pub(super) use taker::{Held, Route, Taker};

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use message::Lists;

/// What one end of a channel has to say.
pub(super) trait Side {
    /// Whether nothing is left that the other end has to be told, or asked for.
    fn is_settled(&self) -> bool;

    /// What is to be written.
    fn lists(&mut self) -> &mut Lists;
}

/// A channel for one bound socket: either end may be the successor's.
pub(crate) fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    // Of the kinds that keep messages whole it is the one that tells when the other end was closed.
    let kind = SockType::SeqPacket;
    Ok(socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?)
}
