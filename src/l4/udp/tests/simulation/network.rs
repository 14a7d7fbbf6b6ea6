use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::time::Instant;

use crate::l4::udp::flows::{FlowId, FlowKey};
use crate::l4::udp::uplinks::Dial;
use crate::types::Random;

/// What is under way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Packet {
    ToEdge(FlowKey),
    ToEndpoint {
        wire: Wire,
        about: FlowKey,
    },
    FromEndpoint {
        wire: Wire,
        about: FlowKey,
    },
    /// Nobody listens at the endpoint.
    Refusal {
        wire: Wire,
    },
}

/// A connection between a socket of the edge and an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wire {
    pub(super) table: usize,
    pub(super) id: FlowId,
    /// Never used for another socket.
    pub(super) number: u64,
    pub(super) endpoint: SocketAddr,
}

/// Loses, repeats, delays and so reorders what it is given.
pub(super) struct Network {
    under_way: BTreeMap<(Instant, u64), Packet>,
    count: u64,
}

/// No packet takes longer.
const SLOWEST: Duration = Duration::from_millis(80);

/// What all sockets of the machine share.
#[derive(Default)]
pub(super) struct Machine {
    pub(super) open: Cell<usize>,
    pub(super) most: Cell<usize>,
    numbers: Cell<u64>,
    /// The sockets that were closed since this was looked at.
    pub(super) closed: RefCell<Vec<Wire>>,
    /// The endpoint to which there is no way at the moment.
    pub(super) cut_off: Cell<Option<SocketAddr>>,
    /// The endpoints that could not be reached for a flow since it was last answered.
    pub(super) in_vain: RefCell<HashSet<(usize, FlowId, SocketAddr)>>,
}

/// Makes sockets of one table.
pub(super) struct Dialer {
    pub(super) table: usize,
    pub(super) machine: Rc<Machine>,
}

/// A socket of a flow, until it is dropped.
pub(super) struct Socket {
    pub(super) wire: Wire,
    machine: Rc<Machine>,
}

impl Network {
    pub(super) fn new() -> Self {
        Self { under_way: BTreeMap::new(), count: 0 }
    }

    pub(super) fn send(&mut self, packet: Packet, now: Instant, random: &mut Random) {
        let copies = match random.u8(0..20) {
            0 | 1 => 0,
            2 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            self.count += 1;
            let due = now + SLOWEST.mul_f64(random.f64());
            self.under_way.insert((due, self.count), packet);
        }
    }

    /// When the next packet arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(due, _)| *due)
    }

    /// The next packet that has arrived by now.
    pub(super) fn arrival(&mut self, now: Instant) -> Option<Packet> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}

impl Dial for Dialer {
    type Socket = Socket;

    fn dial(&mut self, id: FlowId, to: SocketAddr) -> nix::Result<Socket> {
        let machine = &self.machine;
        if machine.open.get() >= machine.most.get() {
            return Err(Errno::EMFILE);
        }
        if machine.cut_off.get() == Some(to) {
            machine.in_vain.borrow_mut().insert((self.table, id, to));
            return Err(Errno::ENETUNREACH);
        }
        machine.open.set(machine.open.get() + 1);
        machine.numbers.set(machine.numbers.get() + 1);
        let wire = Wire { table: self.table, id, number: machine.numbers.get(), endpoint: to };
        Ok(Socket { wire, machine: machine.clone() })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.machine.open.set(self.machine.open.get() - 1);
        self.machine.closed.borrow_mut().push(self.wire);
    }
}
