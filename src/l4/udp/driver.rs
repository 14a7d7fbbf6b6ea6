use std::io;
use std::net::{IpAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use pingora_core::server::ShutdownWatch;
use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::types::{Random, Rarely};

use super::discards::Discard;
use super::flows::{FlowId, Flows, Volume};
use super::io::{Arena, Arrival, BATCH, Dialer, Outbox, Readiness, prepare, receive};
use super::uplinks::Uplinks;
use super::{Service, UdpProxy};

/// So often everything is looked at before other tasks of the thread have a turn.
const ROUNDS: usize = 2;
/// So many flows end at once, since each closes a socket.
const ENDS: usize = 256;
/// How long a socket rests that cannot be read although it says it could.
const REST: Duration = Duration::from_millis(10);

/// Serves one bound socket and all flows that begin there.
pub(super) struct Driver {
    proxy: Arc<UdpProxy>,
    changes: watch::Receiver<Service>,
    socket: tokio::net::UdpSocket,
    bound: IpAddr,
    readiness: Readiness,
    flows: Flows<Uplinks<Dialer>>,
    uplinks: Uplinks<Dialer>,
    /// Holds what clients sent, then what endpoints sent, never both.
    arena: Arena,
    arrivals: Vec<Arrival>,
    outbox: Outbox,
    told: Rarely,
}

/// What a look at everything came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// There may be more.
    Busy,
    /// Nothing is left.
    Done,
    /// The socket has something that cannot be read.
    Failed,
}

/// When to wake up for a flow that ends.
///
/// Flows that are used end later than was thought, so it may wake up early, about once in the time that flows may be
/// idle; to set it for each datagram would cost more.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    is_set: bool,
}

impl Driver {
    pub(super) fn new(proxy: Arc<UdpProxy>, socket: UdpSocket) -> io::Result<Self> {
        prepare(&socket)?;
        let bound = socket.local_addr()?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let (readiness, watcher) = Readiness::new()?;
        let changes = proxy.service.subscribe();
        let Service { pool, settings } = changes.borrow().clone();
        let uplinks = Uplinks::new(proxy.clone(), pool, Dialer::new(watcher), Random::new());
        Ok(Self {
            flows: Flows::new(settings.limits(), proxy.seats.clone()),
            proxy,
            changes,
            socket,
            bound: bound.ip(),
            readiness,
            uplinks,
            arena: Arena::new(),
            arrivals: Vec::with_capacity(BATCH),
            outbox: Outbox::new(bound.ip()),
            told: Rarely::default(),
        })
    }

    /// Serves until `drain` turns true and no flow is left.
    pub(super) async fn run(mut self, mut drain: ShutdownWatch) {
        let mut alarm = Alarm::new();
        let mut is_draining = false;
        loop {
            self.keep_up();
            let outcome = self.work();
            if !is_draining && *drain.borrow_and_update() {
                is_draining = true;
                self.flows.drain();
            }
            if is_draining && self.flows.live() == 0 {
                return;
            }
            match outcome {
                Round::Busy => tokio::task::yield_now().await,
                Round::Failed => sleep(REST).await,
                Round::Done => {
                    alarm.set(self.flows.next_expiry());
                    let is_woken = tokio::select! {
                        biased;
                        is_ready = self.readiness.wait() => is_ready.is_ok(),
                        is_ready = self.socket.readable() => is_ready.is_ok(),
                        () = &mut alarm.sleep, if alarm.is_set => {
                            alarm.is_set = false;
                            true
                        }
                        changed = drain.changed(), if !is_draining => changed.is_ok(),
                        changed = self.changes.changed() => {
                            self.changes.mark_changed();
                            changed.is_ok()
                        }
                    };
                    // The runtime shuts down, or nobody is left who could ask for a drain.
                    if !is_woken {
                        return;
                    }
                }
            }
        }
    }

    /// Takes the listener's pool and settings over when they have changed.
    fn keep_up(&mut self) {
        if self.changes.has_changed().unwrap_or(false) {
            let Service { pool, settings } = self.changes.borrow_and_update().clone();
            self.flows.set_limits(settings.limits());
            self.uplinks.set_pool(pool);
        }
    }

    /// Does what there is to do, as long as it is not another task's turn.
    fn work(&mut self) -> Round {
        for _ in 0..ROUNDS {
            let has_more_ends = self.flows.expire(ENDS, Instant::now(), &mut self.uplinks);
            match (self.serve_clients(), self.serve_endpoints()) {
                (Round::Failed, _) => return Round::Failed,
                (Round::Done, Round::Done) if !has_more_ends => return Round::Done,
                _ => {}
            }
        }
        Round::Busy
    }

    // === From clients ===

    fn serve_clients(&mut self) -> Round {
        let mut received = Err(Errno::EAGAIN);
        let (arena, arrivals, bound) = (&mut self.arena, &mut self.arrivals, self.bound);
        let read = self.socket.try_io(Interest::READABLE, || {
            received = receive(&self.socket, bound, arena, arrivals);
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
        self.pass_on_all(now);
        if read.is_ok() { Round::Busy } else { Round::Done }
    }

    fn pass_on_all(&mut self, now: Instant) {
        let arrivals = std::mem::take(&mut self.arrivals);
        for of_one in arrivals.chunk_by(|a, b| a.key() == b.key()) {
            if let Err((reason, datagrams)) = self.pass_on(of_one, now) {
                self.proxy.discard(reason, datagrams, now);
            }
        }
        self.arrivals = arrivals;
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

    // === From endpoints ===

    fn serve_endpoints(&mut self) -> Round {
        let Ok(ready) = self.readiness.look() else { return Round::Done };
        let now = Instant::now();
        let ready: SmallVec<[FlowId; BATCH]> = ready.collect();
        for id in ready {
            self.take_responses(id, now);
            if self.outbox.is_full() {
                self.flush(now);
            }
        }
        self.flush(now);
        Round::Busy
    }

    fn take_responses(&mut self, id: FlowId, now: Instant) {
        // A flow that has ended has closed its socket.
        let Some(place) = self.flows.place(id) else { return };
        match self.outbox.read(&place.socket, &mut self.arena) {
            Ok(incoming) => {
                for (slot, train) in incoming {
                    if let Some(key) = self.flows.reply(id, train.volume(), now, &mut self.uplinks) {
                        self.outbox.push(slot, train, key);
                    }
                }
            }
            // A router on the way lets no packets of that length pass (ICMP): the kernel cuts what is longer from here on.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::EMSGSIZE) => {}
            Err(error) => self.lose(id, error, now),
        }
    }

    fn flush(&mut self, now: Instant) {
        let lost = self.outbox.flush(&self.socket, &self.arena);
        if lost > 0 {
            self.proxy.discard(Discard::NotSent, lost, now);
        }
    }

    fn lose(&mut self, id: FlowId, error: Errno, now: Instant) {
        if let Some(place) = self.flows.place(id) {
            self.uplinks.tell_failed(&place.pool, &place.lease, error, now);
        }
        self.flows.lose(id, now, &mut self.uplinks);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.flows.end_all(Instant::now(), &mut self.uplinks);
    }
}

impl Alarm {
    fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now())), is_set: false }
    }

    fn set(&mut self, due: Option<Instant>) {
        let Some(due) = due else { return };
        if !self.is_set || due < self.sleep.deadline() {
            self.sleep.as_mut().reset(due);
            self.is_set = true;
        }
    }
}
