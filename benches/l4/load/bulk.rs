use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use super::Load;
use crate::{
    cost::{connect::connect, crowd},
    endpoints::bulk::{Order, pour, swallow},
    support::Outcome,
};

/// Half of them carry bytes to the endpoint, half from it.
const STREAMS: u8 = 8;
const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn run(target: SocketAddr, seconds: u32) -> Outcome<Load> {
    let span = Duration::from_secs(seconds.into());
    let begin = Instant::now();
    let streams: Vec<u8> = (0..STREAMS).collect();
    let bytes = crowd::sum(&streams, |number| {
        let carried = if number % 2 == 0 { upload(target, span) } else { download(target, span) };
        carried.map_err(|error| format!("stream {number}: {error}"))
    })?;
    let done = bytes as f64 / MIB;
    Ok(Load { done, rate: done / begin.elapsed().as_secs_f64() })
}

fn upload(target: SocketAddr, span: Duration) -> Outcome<u64> {
    let mut stream = connect(Ipv4Addr::LOCALHOST, target)?;
    Order::Swallow.send(&mut stream)?;
    let sent = pour(&mut stream, span)?;
    let mut arrived = [0; 8];
    stream.read_exact(&mut arrived)?;
    let arrived = u64::from_be_bytes(arrived);
    if arrived == sent { Ok(sent) } else { Err(format!("{arrived} of {sent} bytes arrived").into()) }
}

fn download(target: SocketAddr, span: Duration) -> Outcome<u64> {
    let mut stream = connect(Ipv4Addr::LOCALHOST, target)?;
    Order::Pour(span).send(&mut stream)?;
    Ok(swallow(&stream)?)
}
