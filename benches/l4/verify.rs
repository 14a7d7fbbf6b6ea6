//! Correctness before speed: a peer that loses bytes is refused, not measured.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use crate::{
    compare::words::{Compared, Work},
    cost::connect::connect,
    endpoints::bulk::Order,
    exchange::exchange,
    peer::Proxy,
    rows::Row,
    support::Outcome,
};

/// How long a peer may take from listening to its first good answer.
const FIT: Duration = Duration::from_secs(10);
/// So much goes through one connection there and back.
const BYTES: usize = 4 << 20;
/// How long a datagram may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Checks that `proxy` carries bytes whole on all its listeners that `rows` need.
pub(crate) fn verify(proxy: &Proxy, rows: &[Row]) -> Outcome<()> {
    wait_until_fit(proxy)?;
    for &row in rows.iter().filter(|row| row.is_for(proxy.peer)) {
        check(proxy.address(row), row).map_err(|error| {
            format!("{}: {} does not do the work: {error}", row.title(), proxy.peer.name())
        })?;
    }
    Ok(())
}

fn wait_until_fit(proxy: &Proxy) -> Outcome<()> {
    let deadline = Instant::now() + FIT;
    while let Err(error) = plain(proxy.address(Row::Short)) {
        if Instant::now() > deadline {
            let (name, said) = (proxy.peer.name(), proxy.process.said());
            return Err(format!("{name} does not proxy after {FIT:?}; last: {error}\n{said}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn plain(target: SocketAddr) -> Outcome<()> {
    exchange(&mut connect(Ipv4Addr::LOCALHOST, target)?)
}

fn check(target: SocketAddr, row: Row) -> Outcome<()> {
    match row {
        Row::Udp => [1, 200, 1400].into_iter().try_for_each(|length| check_datagram(target, length)),
        Row::Dns => check_datagram(target, 60),
        Row::Redis => check_redis(target),
        Row::Bulk => {
            let mut stream = connect(Ipv4Addr::LOCALHOST, target)?;
            Order::Echo.send(&mut stream)?;
            check_stream(&stream)
        }
        Row::Short | Row::Idle => plain(target),
    }
}

/// Sends bytes and ends that direction, while it reads them all back.
fn check_stream(stream: &TcpStream) -> Outcome<()> {
    let bytes: Vec<u8> = (0..BYTES).map(|index| (index * 31 + (index >> 8) * 7) as u8).collect();
    let mut back = Vec::with_capacity(BYTES);
    let (mut incoming, mut outgoing) = (stream, stream);
    let send = || outgoing.write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    thread::scope(|scope| -> Outcome<()> {
        let sent = scope.spawn(send);
        incoming.read_to_end(&mut back)?;
        Ok(sent.join().map_err(|_| "the sender panicked")??)
    })?;
    if back == bytes { Ok(()) } else { Err(format!("{} bytes came back, or others", back.len()).into()) }
}

fn check_redis(target: SocketAddr) -> Outcome<()> {
    let mut stream = connect(Ipv4Addr::LOCALHOST, target)?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" { Ok(()) } else { Err(format!("redis said {answer:?}").into()) }
}

fn check_datagram(target: SocketAddr, length: usize) -> Outcome<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let datagram: Vec<u8> = (0..length).map(|index| index as u8).collect();
    socket.send(&datagram)?;
    let mut back = [0; 2048];
    let received = socket.recv(&mut back)?;
    let is_same = back.get(..received) == Some(&datagram);
    if is_same { Ok(()) } else { Err(format!("of {length} bytes {received} came back, or others").into()) }
}
