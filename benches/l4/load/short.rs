use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::Load;
use crate::{
    cost::{connect, crowd},
    exchange::exchange,
    support::Outcome,
};

/// Clients at the same time, each on a thread of its own.
pub(crate) const CLIENTS: u8 = 16;

pub(super) fn run(target: SocketAddr, seconds: u32) -> Outcome<Load> {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds.into());
    let clients: Vec<u8> = (0..CLIENTS).collect();
    let count = crowd::sum(&clients, |&client| {
        connect_until(client, target, end).map_err(|error| format!("client {client}: {error}"))
    })?;
    let done = count as f64;
    Ok(Load { done, rate: done / begin.elapsed().as_secs_f64() })
}

/// Connects, exchanges and closes again and again; returns how often.
fn connect_until(client: u8, target: SocketAddr, end: Instant) -> Outcome<u64> {
    let mut count = 0;
    while Instant::now() < end {
        exchange(&mut connect::connect(connect::source(client, count), target)?)?;
        count += 1;
    }
    Ok(count)
}
