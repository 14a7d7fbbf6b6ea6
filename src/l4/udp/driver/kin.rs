use std::collections::{HashSet, VecDeque};
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;

use tokio::time::Instant;

use crate::l4::udp::discards::Discard;
use crate::l4::udp::flows::FlowKey;
use crate::l4::udp::handover::{Broken, Gathered, Giver, Held, Kind, Link, Order, Route, Sent, Side};
use crate::l4::udp::io::Arrival;

use super::{Driver, Round, reader};

/// So many times what is left in a channel is served before it is closed.
const LAST_ROUNDS: usize = 64;

/// Waits until there is something to do.
pub(super) async fn ready<S: Side>(link: Option<&mut Link<S>>) -> io::Result<()> {
    match link {
        Some(link) => link.ready().await,
        None => pending().await,
    }
}

/// What goes between this process and those that read the socket before and after it.
impl Driver {
    /// Whether this process reads the socket: not before it knows whose flows are elsewhere.
    pub(super) fn is_reading(&self) -> bool {
        self.reader.is_some() && self.knows_all()
    }

    /// An order to hand over is kept until all is known that the next process has to be told.
    pub(super) fn takes_orders(&self) -> bool {
        self.orders.is_some() && self.knows_all()
    }

    fn knows_all(&self) -> bool {
        self.predecessor.as_ref().is_none_or(|link| link.side.is_told())
    }

    pub(super) fn serve_kin(&mut self) -> Round {
        match (self.serve_predecessor(), self.serve_successor()) {
            (Round::Done, Round::Done) => Round::Done,
            _ => Round::Busy,
        }
    }

    /// Sends what there is to say about flows.
    pub(super) fn tell_kin(&mut self) {
        if self.successor.is_some() {
            for key in self.uplinks.take_ended() {
                self.tell_if_gone(key);
            }
        }
        if self.successor.as_mut().is_some_and(|link| link.write().is_err()) {
            self.lose_successor();
        }
        if self.predecessor.as_mut().is_some_and(|link| link.write().is_err()) {
            self.lose_predecessor(Instant::now());
        }
    }

    // === Orders ===

    pub(super) fn follow(&mut self, order: Order) {
        // Whoever gave the order may no longer wait for what came of it.
        let _ = match order {
            Order::HandOver(end, reply) => reply.send(self.hand_over(end)),
            Order::ReadAgain(reply) => reply.send(self.read_again()),
        };
    }

    fn hand_over(&mut self, end: OwnedFd) -> io::Result<()> {
        let passed_on = self.predecessor.iter().flat_map(|link| link.side.keys());
        let keys: HashSet<_> = self.flows.live_keys().chain(passed_on).collect();
        let (listener, flows) = (&self.proxy.listener, keys.len());
        let link = Link::new(end, Giver::new(keys))?;
        if link.channel.is_deserted() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        log::info!("another process reads a socket listener={listener} flows={flows}");
        self.successor = Some(link);
        self.reader = None;
        self.uplinks.note_ends(true);
        self.choose_beginnings();
        Ok(())
    }

    fn read_again(&mut self) -> io::Result<()> {
        if self.reader.is_none() {
            self.reader = Some(reader(&self.socket)?);
        }
        // What was passed to the end begins flows here where it has none.
        for _ in 0..LAST_ROUNDS {
            if self.serve_successor() == Round::Done {
                break;
            }
        }
        self.lose_successor();
        Ok(())
    }

    // === The process before ===

    fn serve_predecessor(&mut self) -> Round {
        let Some(link) = &self.predecessor else { return Round::Done };
        let gathered = link.channel.gather(Kind::Returned, &mut self.arena, &mut self.arrivals);
        let now = Instant::now();
        let arrivals = std::mem::take(&mut self.arrivals);
        arrivals.chunk_by(|a, b| a.key() == b.key()).for_each(|of_one| self.serve(of_one, now));
        self.arrivals = arrivals;
        let heard = match gathered {
            Ok(Gathered::All) => return Round::Done,
            Ok(Gathered::Batch) => return Round::Busy,
            Ok(Gathered::UpTo(kind, keys)) => {
                self.predecessor.as_mut().map(|link| link.side.hear(kind, keys))
            }
            Err(Broken) => Some(Err(Broken)),
        };
        match heard {
            Some(Ok(free)) => self.take_over(&free, now),
            Some(Err(Broken)) => self.lose_predecessor(now),
            None => {}
        }
        Round::Busy
    }

    /// Serves a client here, or passes on what it sent to the process that has its flow.
    pub(super) fn serve_or_pass(&mut self, arrivals: &[Arrival], now: Instant) {
        let [first, ..] = arrivals else { return };
        for arrival in arrivals {
            // Whether the other process is still there may turn out with each of them.
            let route = self.predecessor.as_ref().map_or(Route::Ours, |link| link.side.route(&first.key()));
            match route {
                Route::Ours => self.serve(std::slice::from_ref(arrival), now),
                Route::Theirs => self.pass(arrival, now),
                Route::Held => self.hold(arrival, now),
            }
        }
    }

    fn pass(&mut self, arrival: &Arrival, now: Instant) {
        let Some(link) = &mut self.predecessor else { return };
        let bytes = self.arena.bytes_of(arrival.slot, arrival.train);
        match link.send(Kind::Passed, arrival.key(), arrival, bytes) {
            Sent::Whole => {}
            Sent::NoRoom => self.drop_one(arrival, now),
            // That it is gone for the others, too, is found out when nothing is left to be read from it.
            Sent::Broken => self.serve(std::slice::from_ref(arrival), now),
        }
    }

    fn hold(&mut self, arrival: &Arrival, now: Instant) {
        let Some(link) = &mut self.predecessor else { return };
        let bytes = self.arena.bytes_of(arrival.slot, arrival.train);
        if !link.side.hold(arrival.key(), arrival.train, bytes) {
            self.drop_one(arrival, now);
        }
    }

    /// Serves clients from here on whose flows have ended elsewhere.
    fn take_over(&mut self, free: &[FlowKey], now: Instant) {
        if free.is_empty() {
            return;
        }
        if let Some(link) = &mut self.predecessor {
            let held = link.side.take_free();
            self.serve_held(held, now);
        }
        free.iter().for_each(|key| self.tell_if_gone(*key));
    }

    fn lose_predecessor(&mut self, now: Instant) {
        let Some(mut link) = self.predecessor.take() else { return };
        let keys = link.side.forget();
        let (listener, flows) = (&self.proxy.listener, keys.len());
        log::info!("the process that read a socket before is gone listener={listener} flows={flows}");
        self.serve_held(link.side.take_free(), now);
        keys.iter().for_each(|key| self.tell_if_gone(*key));
    }

    fn serve_held(&mut self, held: VecDeque<Held>, now: Instant) {
        for Held { key: FlowKey { client, reached }, train, bytes } in held {
            self.arena.put(0, &bytes);
            self.serve(&[Arrival { slot: 0, client, reached, train }], now);
        }
    }

    // === The process after ===

    fn serve_successor(&mut self) -> Round {
        let Some(link) = &self.successor else { return Round::Done };
        let gathered = link.channel.gather(Kind::Passed, &mut self.arena, &mut self.arrivals);
        self.take_in(Instant::now());
        let heard = match gathered {
            Ok(Gathered::All) => return Round::Done,
            Ok(Gathered::Batch) => return Round::Busy,
            Ok(Gathered::UpTo(kind, keys)) => self.successor.as_mut().map(|link| link.side.hear(kind, keys)),
            Err(Broken) => Some(Err(Broken)),
        };
        if heard == Some(Err(Broken)) {
            self.lose_successor();
        }
        Round::Busy
    }

    /// Gives what came for a flow that is gone to the process where flows begin.
    pub(super) fn give_back(&mut self, arrivals: &[Arrival], now: Instant) {
        for arrival in arrivals {
            let bytes = self.arena.bytes_of(arrival.slot, arrival.train);
            let sent =
                self.successor.as_mut().map(|link| link.send(Kind::Returned, arrival.key(), arrival, bytes));
            match sent {
                Some(Sent::Whole) => {}
                Some(Sent::NoRoom) => self.drop_one(arrival, now),
                Some(Sent::Broken) | None => {
                    self.lose_successor();
                    self.serve(std::slice::from_ref(arrival), now);
                }
            }
        }
    }

    /// Tells of a client that has a flow neither here nor with the process before.
    fn tell_if_gone(&mut self, key: FlowKey) {
        let is_passed_on = self.predecessor.as_ref().is_some_and(|link| link.side.route(&key) != Route::Ours);
        if is_passed_on || self.flows.is_live(&key) {
            return;
        }
        if let Some(link) = &mut self.successor {
            link.side.ended(key);
        }
    }

    fn lose_successor(&mut self) {
        if self.successor.take().is_some() {
            log::info!("no other process reads a socket any more listener={}", self.proxy.listener);
            self.uplinks.note_ends(false);
            self.choose_beginnings();
        }
    }

    // === Both ===

    fn drop_one(&self, arrival: &Arrival, now: Instant) {
        self.proxy.discard(Discard::NotPassed, arrival.train.volume().datagrams, now);
    }
}
