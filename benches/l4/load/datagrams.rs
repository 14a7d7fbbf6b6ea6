use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use super::Load;
use crate::{endpoints::batch::Batch, support::Outcome};

/// Client sockets, each with a port of its own.
pub(crate) const FLOWS: u8 = 50;
/// Datagrams of a flow that are under way at once.
pub(crate) const WINDOW: usize = 4;
/// The bytes of a datagram.
const SIZE: usize = 200;
/// When nothing comes back for so long, all that was under way is lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// The part of all datagrams that may be lost.
const LOSS: f64 = 0.01;

/// A socket that sends back what comes back.
struct Flow {
    socket: UdpSocket,
    number: u8,
    sent: u64,
    received: u64,
}

pub(super) fn run(target: SocketAddr, seconds: u32) -> Outcome<Load> {
    let mut flows = (0..FLOWS).map(|number| Flow::open(number, target)).collect::<Outcome<Vec<_>>>()?;
    let mut batch = Batch::new(2 * WINDOW);
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds.into());
    for flow in &mut flows {
        flow.begin(&mut batch)?;
    }
    while Instant::now() < end {
        for flow in &mut flows {
            flow.go_on(&mut batch)?;
        }
    }
    for flow in &mut flows {
        flow.drain(&mut batch)?;
    }
    let took = begin.elapsed().as_secs_f64();
    let total = |count: fn(&Flow) -> u64| flows.iter().map(count).sum::<u64>() as f64;
    let (sent, done) = (total(|flow| flow.sent), total(|flow| flow.received));
    check_loss(sent, done)?;
    Ok(Load { done, rate: done / took })
}

/// # Errors
/// When more was lost than may be.
pub(super) fn check_loss(sent: f64, received: f64) -> Outcome<()> {
    if received >= sent * (1.0 - LOSS) {
        return Ok(());
    }
    Err(format!("{received} of {sent} datagrams came back").into())
}

impl Flow {
    fn open(number: u8, target: SocketAddr) -> Outcome<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(target)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, number, sent: 0, received: 0 })
    }

    /// Fills the window.
    fn begin(&mut self, batch: &mut Batch) -> Outcome<()> {
        batch.fill(WINDOW, &[self.number; SIZE]);
        batch.send_back(&self.socket, WINDOW)?;
        self.sent += WINDOW as u64;
        Ok(())
    }

    /// Takes what has come back, and sends as much. Fills the window anew when nothing comes.
    fn go_on(&mut self, batch: &mut Batch) -> Outcome<()> {
        let count = self.receive(batch)?;
        if count == 0 {
            return self.begin(batch);
        }
        batch.fill(count, &[self.number; SIZE]);
        batch.send_back(&self.socket, count)?;
        self.sent += count as u64;
        Ok(())
    }

    /// Takes what is still under way.
    fn drain(&mut self, batch: &mut Batch) -> Outcome<()> {
        while self.received < self.sent && self.receive(batch)? > 0 {}
        Ok(())
    }

    fn receive(&mut self, batch: &mut Batch) -> Outcome<usize> {
        let count = match batch.receive(&self.socket) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        if batch.contents(count).any(|content| content != [self.number; SIZE]) {
            return Err(format!("a datagram of flow {} came back otherwise", self.number).into());
        }
        self.received += count as u64;
        Ok(count)
    }
}
