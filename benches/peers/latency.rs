use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use crate::{
    client,
    connection::Connection,
    request,
    support::{Outcome, spread::median},
    wire::Wire,
};

/// The time for one round of pairs.
const SPAN: Duration = Duration::from_secs(1);
/// The most pairs that a round needs.
const PAIRS: usize = 5_000;
/// Pairs that are not counted.
const WARM_UP: usize = 100;

/// What a proxy adds to the median time of a GET on one kept-alive connection, in microseconds.
///
/// Each request through the proxy is followed by one to the origin directly, so that both see the same machine.
pub(crate) fn added(proxy: SocketAddr, origin: SocketAddr) -> Outcome<f64> {
    let mut through = client::open(Ipv4Addr::LOCALHOST, proxy, &Wire::Plain)?;
    let mut directly = client::open(Ipv4Addr::LOCALHOST, origin, &Wire::Plain)?;
    let request = request::get("/", "");
    let (mut with, mut without) = (Vec::with_capacity(PAIRS), Vec::with_capacity(PAIRS));
    for _ in 0..WARM_UP {
        timed(&mut through, &request)?;
        timed(&mut directly, &request)?;
    }
    let begin = Instant::now();
    while with.len() < PAIRS && begin.elapsed() < SPAN {
        with.push(timed(&mut through, &request)?);
        without.push(timed(&mut directly, &request)?);
    }
    Ok(median(&with) - median(&without))
}

fn timed(connection: &mut Connection, request: &[u8]) -> Outcome<f64> {
    let begin = Instant::now();
    let answer = connection.exchange(request)?;
    let micros = begin.elapsed().as_secs_f64() * 1e6;
    if answer.status == 200 { Ok(micros) } else { Err(format!("status {} under way", answer.status).into()) }
}
