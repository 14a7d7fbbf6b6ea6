//! The life of the process: what is started, in which order, and how it ends.

mod banner;
mod control;
mod drain;
mod edges;
mod limits;
mod parts;
mod reload;
mod server;
mod settled;
mod signals;
mod systemd;
mod upgrade;

pub(crate) use banner::banner;
pub(crate) use control::ControlSocket;
pub(crate) use edges::Edges;
pub(crate) use parts::{Parts, Running, StartError};
pub(crate) use reload::{Reloader, Serving};
pub(crate) use server::{LOG_PATIENCE, serve, settle};
pub(crate) use upgrade::{Takeover, take_place};
