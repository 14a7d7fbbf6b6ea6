//! Load of several kinds, and what it says of itself.

mod bulk;
pub(crate) mod datagrams;
mod dns;
pub(crate) mod redis;
pub(crate) mod short;

use crate::{peer::Proxy, rows::Row, site::Site, support::Outcome};

/// What the clients say of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// In the unit of the row.
    pub(crate) done: f64,
    /// So many per second.
    pub(crate) rate: f64,
}

/// Loads `proxy` with the work of `row` for `seconds`.
///
/// # Errors
/// When clients fail, or what comes back is not what it should be.
pub(crate) fn run(site: &Site, proxy: &Proxy, row: Row, seconds: u32) -> Outcome<Load> {
    let target = proxy.address(row);
    match row {
        Row::Bulk => bulk::run(target, seconds),
        Row::Short => short::run(target, seconds),
        Row::Redis => redis::run(site, target, seconds),
        Row::Udp => datagrams::run(target, seconds),
        Row::Dns => dns::run(target, seconds),
        Row::Idle => Err("idle connections are no load".into()),
    }
}
