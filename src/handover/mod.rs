//! The hand-over of an upgrade: a new process takes over sockets and state of the old one, and no client notices.
//!
//! The old process ([`Giver`]) starts the new one ([`Taker`]) with a socket as its standard input. Over this they speak
//! in frames, JSON for the most part:
//!
//! ```text
//! new  hello      who I am; my configuration is good            failed    at any step: it is not, or something else
//! old  welcome    who I am                                      stay      at any step: nothing comes of it, and why
//! old  sockets    which ones follow, then their descriptors
//! new  need       whether I want the state
//! old  state      its size, then its bytes
//! new  ready      I could serve
//! old  go         do; I accept nothing more
//! new  serving    I do
//! old  done       my work is done, I end                        leaving   the new one: I end before you do
//! ```
//!
//! Messages of other names are skipped with what belongs to them, and so are fields, so that a later version may say
//! more; what it must not say to an older one is agreed upon by `hello` and `welcome`. Each step has a deadline. Until
//! `serving` the old process loses nothing by any failure: the new one is ended then. After it each learns of the other's
//! end by that of the connection.
//!
//! Nothing is known here of what the sockets are for or of what is in the state.

mod child;
mod connection;
mod error;
mod frame;
mod giver;
mod limits;
mod message;
mod predecessor;
mod program;
mod state;
mod successor;
mod taker;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use child::Program;
pub(crate) use error::{Cause, HandoverError, Stage};
#[cfg(test)]
use giver::Need;
pub(crate) use giver::{Given, Giver, Peer};
pub(crate) use limits::Limits;
pub(crate) use message::{SocketEntry, SocketKind};
pub(crate) use predecessor::Predecessor;
pub(crate) use program::{may_leave, own_program};
pub(crate) use state::{Attachment, State};
pub(crate) use successor::{End, Successor};
pub(crate) use taker::{Taken, Taker, Welcome};

/// Says to a process that its standard input is the socket of a hand-over; its value is the latest version of the protocol.
pub(crate) const VARIABLE: &str = "EVENER_HANDOVER";
