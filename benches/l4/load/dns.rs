use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use super::{Load, datagrams::check_loss};
use crate::support::Outcome;

/// Flows that are under way at once.
const AT_ONCE: u64 = 50;
/// About what a question takes.
const QUESTION: [u8; 60] = [0x5a; 60];
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn run(target: SocketAddr, seconds: u32) -> Outcome<Load> {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds.into());
    let (mut sent, mut received) = (0, 0);
    while Instant::now() < end {
        let asked = (0..AT_ONCE).map(|_| ask(target)).collect::<Outcome<Vec<UdpSocket>>>()?;
        sent += AT_ONCE;
        received += asked.iter().filter(|socket| is_answered(socket)).count() as u64;
    }
    let done = received as f64;
    check_loss(sent as f64, done)?;
    Ok(Load { done, rate: done / begin.elapsed().as_secs_f64() })
}

fn ask(target: SocketAddr) -> Outcome<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&QUESTION)?;
    Ok(socket)
}

fn is_answered(socket: &UdpSocket) -> bool {
    let mut answer = [0; 2 * QUESTION.len()];
    matches!(socket.recv(&mut answer), Ok(length) if answer.get(..length) == Some(&QUESTION))
}
