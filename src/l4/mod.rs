//! TCP and UDP for pools that do not speak HTTP.

mod relay;
mod tcp;
pub(crate) mod udp;

pub(crate) use tcp::{Arrival, TcpProxy};
