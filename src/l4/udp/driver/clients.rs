use std::io;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::time::Instant;

use crate::l4::udp::discards::Discard;
use crate::l4::udp::flows::Volume;
use crate::l4::udp::io::{Arrival, BATCH, receive};

use super::{Driver, Round};

/// What clients send.
impl Driver {
    pub(super) fn serve_clients(&mut self) -> Round {
        if !self.is_reading() {
            return Round::Done;
        }
        let Some(reader) = &self.reader else { return Round::Done };
        let mut received = Err(Errno::EAGAIN);
        let (arena, arrivals, bound) = (&mut self.arena, &mut self.arrivals, self.bound);
        let read = reader.try_io(Interest::READABLE, || {
            received = receive(reader, bound, arena, arrivals);
            // A batch that is not full has emptied the socket: whatever comes after it wakes the runtime.
            match received {
                Ok(BATCH) => Ok(()),
                Ok(_) => Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => Err(error.into()),
            }
        });
        let now = Instant::now();
        match received {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return Round::Done,
            Err(Errno::EINTR) => return Round::Busy,
            Err(error) => {
                self.tell_unread(error, now);
                return Round::Failed;
            }
        }
        self.take_in(now);
        if read.is_ok() { Round::Busy } else { Round::Done }
    }

    /// Has what clients sent go where their flows are.
    pub(super) fn take_in(&mut self, now: Instant) {
        let arrivals = std::mem::take(&mut self.arrivals);
        for of_one in arrivals.chunk_by(|a, b| a.key() == b.key()) {
            match &self.predecessor {
                None => self.serve(of_one, now),
                Some(_) => self.serve_or_pass(of_one, now),
            }
        }
        self.arrivals = arrivals;
    }

    /// Serves a client here; where its flow is gone, and another process begins flows, that one gets it.
    pub(super) fn serve(&mut self, arrivals: &[Arrival], now: Instant) {
        match self.pass_on(arrivals, now) {
            Ok(()) => {}
            Err((Discard::Draining, _)) if self.successor.is_some() => self.give_back(arrivals, now),
            Err((reason, datagrams)) => self.proxy.discard(reason, datagrams, now),
        }
    }

    /// Sends what came of one client to its flow's endpoint. Where that turns out to be gone, another one gets it.
    fn pass_on(&mut self, arrivals: &[Arrival], now: Instant) -> Result<(), (Discard, u64)> {
        let [first, ..] = arrivals else { return Ok(()) };
        let volume: Volume = arrivals.iter().map(|arrival| arrival.train.volume()).sum();
        let all = |reason| (reason, volume.datagrams);
        for _ in 0..2 {
            let id = self.flows.carry(first.key(), volume, now, &mut self.uplinks).map_err(all)?;
            let Some(place) = self.flows.place(id) else { break };
            match place.socket.send(arrivals, &self.arena) {
                Ok(0) => return Ok(()),
                Ok(dropped) => return Err((Discard::NotSent, dropped)),
                Err(error) => self.lose(id, error, now),
            }
        }
        Err(all(Discard::Unreachable))
    }

    fn tell_unread(&self, error: Errno, now: Instant) {
        if self.told.may_tell(now) {
            log::error!("socket cannot be read listener={} error=\"{error}\"", self.proxy.listener);
        }
    }
}
