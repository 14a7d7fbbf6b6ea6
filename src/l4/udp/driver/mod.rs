mod clients;
mod endpoints;
mod kin;

use std::future::pending;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use pingora_core::server::ShutdownWatch;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::types::{Random, Rarely};

use super::flows::{Begins, FlowId, Flows};
use super::handover::{Giver, Link, Order, Predecessor, Side, Taker, Turn};
use super::io::{Arena, Arrival, BATCH, Dialer, Outbox, Readiness, prepare};
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
    orders: Option<mpsc::Receiver<Order>>,
    socket: UdpSocket,
    /// The same socket; `None` while another process reads it.
    reader: Option<tokio::net::UdpSocket>,
    bound: IpAddr,
    readiness: Readiness,
    flows: Flows<Uplinks<Dialer>>,
    uplinks: Uplinks<Dialer>,
    /// Holds what clients sent, then what endpoints sent, never both.
    arena: Arena,
    arrivals: Vec<Arrival>,
    outbox: Outbox,
    told: Rarely,
    /// To the process that read the socket before, and may still have flows.
    predecessor: Option<Link<Taker>>,
    /// Whence that was taken.
    turn: Predecessor,
    /// To the process that reads the socket now.
    successor: Option<Link<Giver>>,
    is_draining: bool,
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
    pub(super) fn new(proxy: Arc<UdpProxy>, socket: UdpSocket, turn: Turn) -> io::Result<Self> {
        prepare(&socket)?;
        let bound = socket.local_addr()?;
        let (readiness, watcher) = Readiness::new()?;
        let changes = proxy.service.subscribe();
        let Service { pool, settings } = changes.borrow().clone();
        let uplinks = Uplinks::new(proxy.clone(), pool, Dialer::new(watcher), Random::new());
        let reader = reader(&socket)?;
        Ok(Self {
            flows: Flows::new(settings.limits(), proxy.seats.clone()),
            proxy,
            changes,
            orders: turn.orders,
            reader: Some(reader),
            socket,
            bound: bound.ip(),
            readiness,
            uplinks,
            arena: Arena::new(),
            arrivals: Vec::with_capacity(BATCH),
            outbox: Outbox::new(bound.ip()),
            told: Rarely::default(),
            // Last: whatever fails before leaves it for the next run.
            predecessor: turn.predecessor.take()?,
            turn: turn.predecessor,
            successor: None,
            is_draining: false,
        })
    }

    /// Serves until `drain` turns true and no flow is left.
    pub(super) async fn run(mut self, mut drain: ShutdownWatch) {
        let mut alarm = Alarm::new();
        loop {
            self.keep_up();
            let outcome = self.work();
            let is_draining = *drain.borrow_and_update();
            if is_draining != self.is_draining {
                self.is_draining = is_draining;
                self.choose_beginnings();
            }
            if self.is_draining && self.is_done() {
                return;
            }
            match outcome {
                Round::Busy => tokio::task::yield_now().await,
                Round::Failed => sleep(REST).await,
                Round::Done => {
                    alarm.set(self.flows.next_expiry());
                    // The runtime shuts down, or nobody is left who could ask for a drain.
                    if !self.wait(&mut drain, &mut alarm).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until there may be something to do. `false` if there never will be.
    async fn wait(&mut self, drain: &mut ShutdownWatch, alarm: &mut Alarm) -> bool {
        let (is_reading, takes_orders) = (self.is_reading(), self.takes_orders());
        // A drain may be taken back, and goes on where nobody is left who could.
        let hears_of_drain = !self.is_draining || drain.has_changed().is_ok();
        let (mut order, mut is_deserted) = (None, false);
        let is_woken = tokio::select! {
            biased;
            is_ready = self.readiness.wait() => is_ready.is_ok(),
            is_ready = readable(self.reader.as_ref()), if is_reading => is_ready.is_ok(),
            is_ready = kin::ready(self.predecessor.as_mut()) => is_ready.is_ok(),
            is_ready = kin::ready(self.successor.as_mut()) => is_ready.is_ok(),
            () = &mut alarm.sleep, if alarm.is_set => {
                alarm.is_set = false;
                true
            }
            changed = drain.changed(), if hears_of_drain => changed.is_ok() || self.is_draining,
            changed = self.changes.changed() => {
                self.changes.mark_changed();
                changed.is_ok()
            }
            given = next(self.orders.as_mut()), if takes_orders => {
                is_deserted = given.is_none();
                order = given;
                true
            }
        };
        if is_deserted {
            self.orders = None;
        }
        if let Some(order) = order {
            self.follow(order);
        }
        is_woken
    }

    /// Whether nothing is left of what a drain lets go on.
    fn is_done(&self) -> bool {
        self.flows.live() == 0
            && self.predecessor.as_ref().is_none_or(|link| link.side.is_settled())
            && self.successor.as_ref().is_none_or(|link| link.side.is_settled())
    }

    /// Takes the listener's pool and settings over when they have changed, and follows orders.
    fn keep_up(&mut self) {
        if self.changes.has_changed().unwrap_or(false) {
            let Service { pool, settings } = self.changes.borrow_and_update().clone();
            self.flows.set_limits(settings.limits());
            self.uplinks.set_pool(pool);
        }
        while self.takes_orders() {
            match self.orders.as_mut().and_then(|orders| orders.try_recv().ok()) {
                Some(order) => self.follow(order),
                None => return,
            }
        }
    }

    fn choose_beginnings(&mut self) {
        self.flows.set_begins(match self.is_draining {
            _ if self.successor.is_some() => Begins::Elsewhere,
            true => Begins::Nowhere,
            false => Begins::Here,
        });
    }

    /// Does what there is to do, as long as it is not another task's turn.
    fn work(&mut self) -> Round {
        for _ in 0..ROUNDS {
            let has_more_ends = self.flows.expire(ENDS, Instant::now(), &mut self.uplinks);
            let rounds = [self.serve_clients(), self.serve_kin(), self.serve_endpoints()];
            self.tell_kin();
            if rounds.contains(&Round::Failed) {
                return Round::Failed;
            }
            if rounds == [Round::Done; 3] && !has_more_ends {
                return Round::Done;
            }
        }
        Round::Busy
    }

    fn lose(&mut self, id: FlowId, error: Errno, now: Instant) {
        if let Some(place) = self.flows.place(id) {
            self.uplinks.tell_failed(&place.pool, &place.lease, error, now);
        }
        self.flows.lose(id, now, &mut self.uplinks);
    }
}

/// Registers the socket with the runtime, so that it is told when there is something to read.
fn reader(socket: &UdpSocket) -> io::Result<tokio::net::UdpSocket> {
    tokio::net::UdpSocket::from_std(socket.try_clone()?)
}

async fn readable(reader: Option<&tokio::net::UdpSocket>) -> io::Result<()> {
    match reader {
        Some(reader) => reader.readable().await,
        None => pending().await,
    }
}

async fn next(orders: Option<&mut mpsc::Receiver<Order>>) -> Option<Order> {
    match orders {
        Some(orders) => orders.recv().await,
        None => pending().await,
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.flows.end_all(Instant::now(), &mut self.uplinks);
        if let Some(link) = self.predecessor.take() {
            self.turn.put_back(link);
        }
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
