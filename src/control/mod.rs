//! The control socket: how commands such as `evener status` and `reload` reach a process that runs.
//!
//! One request a connection, one JSON text a line in both directions; see [`protocol`]. Those who speak HTTP are handed to
//! whoever answers on the listener of `admin`. The socket is for the user that
//! runs the process and for root only, by its mode and by what the kernel tells of each peer. The server acts through
//! [`crate::runtime::Control`] alone; the client is what the commands are made of and waits for no answer longer than
//! its deadline.

mod bind;
mod client;
mod columns;
mod connect;
mod drift_table;
pub(crate) mod figures;
mod protocol;
mod server;
mod split_table;
mod status_table;

pub(crate) use bind::{BoundControl, CannotOpen, Door};
pub(crate) use client::{ask, ask_until};
pub(crate) use drift_table::drift_table;
pub(crate) use protocol::{Command, Reply};
pub(crate) use server::{Answering, MOST_CONNECTIONS, serve};
pub(crate) use split_table::split_table;
pub(crate) use status_table::{notes, status_table};
