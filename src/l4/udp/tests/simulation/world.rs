use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::l4::udp::flows::{Begins, FlowId, FlowKey, Flows, Volume};
use crate::l4::udp::tests::support::{Ends, named_pool, proxy};
use crate::l4::udp::uplinks::Uplinks;
use crate::l4::udp::{Discard, EndReason, Service, UdpProxy, UdpSettings};
use crate::pools::{Endpoint, Health, Pool};
use crate::types::{EndpointAddr, Random};

use super::event::Event;
use super::network::{Dialer, Machine, Network, Packet, Wire};

/// Everything there is, and what the tests know of it on their own.
pub(super) struct World {
    pub(super) now: Instant,
    random: Random,
    pub(super) settings: UdpSettings,
    pub(super) proxy: Arc<UdpProxy>,
    /// All that there were; flows begin in the last.
    pub(super) pools: Vec<Arc<Pool>>,
    pub(super) ends: Ends,
    /// One for each socket of the listener.
    pub(super) tables: Vec<Table>,
    pub(super) machine: Rc<Machine>,
    network: Network,
    clients: Vec<FlowKey>,
    /// Where nobody listens at the moment.
    down: Vec<SocketAddr>,
    is_draining: bool,
    /// The flows that there should be, by their table and key.
    pub(super) known: HashMap<(usize, FlowKey), Known>,
    /// The endpoints that failed a client since one answered it.
    pub(super) failed: HashMap<(usize, FlowKey), Vec<SocketAddr>>,
    /// What the step at hand did.
    pub(super) lost: Option<u64>,
    pub(super) may_evict: bool,
    pub(super) reasons: Vec<EndReason>,
    pub(super) discards: Vec<Discard>,
    pub(super) answered: usize,
}

pub(super) struct Table {
    pub(super) flows: Flows<Uplinks<Dialer>>,
    pub(super) uplinks: Uplinks<Dialer>,
}

/// A flow as it should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) id: FlowId,
    pub(super) wire: Wire,
    /// The number of the pool that it began in.
    pub(super) pool: usize,
    pub(super) last: Instant,
    pub(super) datagrams_in: u64,
    pub(super) datagrams_out: u64,
}

const ENDPOINTS: u16 = 4;

pub(super) fn find(pool: &Pool, address: SocketAddr) -> Option<&Arc<Endpoint>> {
    pool.endpoints().iter().find(|endpoint| **endpoint.address() == EndpointAddr::Inet(address))
}

impl Table {
    fn new(table: usize, proxy: &Arc<UdpProxy>, machine: &Rc<Machine>, random: Random) -> Self {
        let dialer = Dialer { table, machine: machine.clone() };
        let Service { pool, settings } = proxy.service.borrow().clone();
        Self {
            flows: Flows::new(settings.limits(), proxy.seats.clone()),
            uplinks: Uplinks::new(proxy.clone(), pool, dialer, random),
        }
    }
}

/// One of a few addresses, with one of a few ports, at one of a few addresses of the edge.
fn client(number: u16) -> FlowKey {
    FlowKey {
        client: SocketAddr::from((Ipv4Addr::new(192, 0, 2, (number / 8) as u8), 1000 + number % 8)),
        reached: IpAddr::V4(Ipv4Addr::new(10, 1, 1, (number % 3) as u8)),
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), port))
}

fn settings(random: &mut Random) -> UdpSettings {
    UdpSettings {
        idle: Duration::from_millis(random.u64(50..2000)),
        flows: if random.bool() { random.u32(1..3) } else { random.u32(3..30) },
        responses: NonZeroU32::new(random.u32(0..3)),
    }
}

fn pool_of(name: &str, ports: RangeInclusive<u16>, random: &mut Random, now: Instant) -> Arc<Pool> {
    let endpoints: Vec<_> = ports.map(address).collect();
    let (most, in_row) = (random.u32(1..20), random.u32(1..6));
    let keys = format!(", outlier: {{ consecutive: {in_row}, eject: 1s }}, panic: 0%, max_requests: {most}");
    named_pool(name, &endpoints, &keys, now)
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::with_seed(seed);
        let now = Instant::now();
        let settings = settings(&mut random);
        let pool = pool_of("app0", 1..=ENDPOINTS, &mut random, now);
        let (proxy, ends) = proxy(pool.clone(), settings);
        let machine = Rc::new(Machine::default());
        machine.most.set(random.usize(1..40));
        let tables = 0..random.usize(1..=2);
        let tables = tables.map(|number| Table::new(number, &proxy, &machine, random.fork())).collect();
        let clients = (0..random.u16(1..60)).map(client).collect();
        Self {
            now,
            random,
            settings,
            proxy,
            pools: vec![pool],
            ends,
            tables,
            machine,
            network: Network::new(),
            clients,
            down: Vec::new(),
            is_draining: false,
            known: HashMap::new(),
            failed: HashMap::new(),
            lost: None,
            may_evict: false,
            reasons: Vec::new(),
            discards: Vec::new(),
            answered: 0,
        }
    }

    /// Has one thing happen.
    pub(super) fn step(&mut self) -> Event {
        let endpoint = address(self.random.u16(1..=ENDPOINTS));
        match self.random.u16(0..1000) {
            0..600 => {
                let key = self.clients[self.random.usize(..self.clients.len())];
                self.network.send(Packet::ToEdge(key), self.now, &mut self.random);
                Event::Sent(key)
            }
            600..900 => {
                let time = Duration::from_millis(self.random.u64(1..60));
                self.pass(time)
            }
            900..910 => {
                let time = Duration::from_millis(self.random.u64(0..100));
                self.pass(self.settings.idle + time)
            }
            910..940 => {
                self.down.push(endpoint);
                Event::Down(endpoint)
            }
            940..970 => {
                self.down.retain(|down| *down != endpoint);
                Event::Up(endpoint)
            }
            970..985 => self.judge(endpoint),
            985..994 => {
                let cut_off = self.random.bool().then_some(endpoint);
                self.machine.cut_off.set(cut_off);
                Event::CutOff(cut_off)
            }
            994..996 => self.change(),
            996..999 => {
                let most = self.random.usize(1..40);
                self.machine.most.set(most);
                Event::Sockets(most)
            }
            _ => {
                self.is_draining = true;
                self.tables.iter_mut().for_each(|table| table.flows.set_begins(Begins::Nowhere));
                Event::Drain
            }
        }
    }

    fn judge(&mut self, endpoint: SocketAddr) -> Event {
        let pool = &self.pools[self.random.usize(..self.pools.len())];
        let health = match self.random.bool() {
            true => Health::Fit,
            false => Health::Unfit { is_reachable: self.random.bool() },
        };
        if let Some(judged) = find(pool, endpoint) {
            pool.set_health(judged, health, self.now);
        }
        Event::Judged(endpoint, health)
    }

    /// Has flows begin in another pool, by other settings.
    fn change(&mut self) -> Event {
        let ports = self.random.u16(1..=ENDPOINTS)..=ENDPOINTS;
        let endpoints = ports.clone().map(address).collect();
        let name = format!("app{}", self.pools.len());
        let pool = pool_of(&name, ports, &mut self.random, self.now);
        self.settings = settings(&mut self.random);
        self.proxy.change(pool.clone(), self.settings);
        for Table { flows, uplinks } in &mut self.tables {
            flows.set_limits(self.settings.limits());
            uplinks.set_pool(pool.clone());
        }
        self.pools.push(pool);
        // Endpoints of the new pool are others, even at the same addresses.
        self.failed.clear();
        self.may_evict = true;
        self.expire();
        Event::Changed(endpoints, self.settings)
    }

    /// Where flows begin.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        self.pools.last().expect("there is one from the beginning")
    }

    /// Lets time pass, from one thing that is due to the next.
    fn pass(&mut self, time: Duration) -> Event {
        let until = self.now + time;
        while self.now < until {
            let ends = self.tables.iter().filter_map(|table| table.flows.next_expiry());
            let due = self.network.next_arrival().into_iter().chain(ends).min();
            self.now = due.unwrap_or(until).clamp(self.now, until);
            self.expire();
            while let Some(packet) = self.network.arrival(self.now) {
                self.arrive(packet);
                self.check();
            }
        }
        Event::Passed(time)
    }

    fn expire(&mut self) {
        for pool in &self.pools {
            pool.end_ejections(self.now);
        }
        for Table { flows, uplinks } in &mut self.tables {
            while flows.expire(3, self.now, uplinks) {}
        }
        self.check();
    }

    fn arrive(&mut self, packet: Packet) {
        match packet {
            Packet::ToEdge(key) => self.carry(key),
            Packet::ToEndpoint { wire, about } => {
                let answer = match self.down.contains(&wire.endpoint) {
                    true => Packet::Refusal { wire },
                    false => Packet::FromEndpoint { wire, about },
                };
                self.network.send(answer, self.now, &mut self.random);
            }
            Packet::FromEndpoint { wire, about } => self.reply(wire, about),
            Packet::Refusal { wire } => {
                let Table { flows, uplinks } = &mut self.tables[wire.table];
                if flows.place(wire.id).is_some_and(|place| place.socket.wire == wire) {
                    self.lost = Some(wire.number);
                    flows.lose(wire.id, self.now, uplinks);
                    let key = self.known_key(wire).expect("the flow is known");
                    if self.known[&key].pool + 1 == self.pools.len() {
                        self.failed.entry(key).or_default().push(wire.endpoint);
                    }
                }
            }
        }
    }

    pub(super) fn known_key(&self, wire: Wire) -> Option<(usize, FlowKey)> {
        self.known.iter().find(|(_, known)| known.wire == wire).map(|(key, _)| *key)
    }

    fn table_of(&self, key: FlowKey) -> usize {
        usize::from(key.client.port()) % self.tables.len()
    }

    fn carry(&mut self, key: FlowKey) {
        let table = self.table_of(key);
        let has_no_seat = self.proxy.open_flows() >= self.settings.flows as usize;
        let has_no_room = !self.pool().endpoints().iter().all(|endpoint| endpoint.load().has_room());
        self.may_evict = has_no_seat || has_no_room || self.machine.open.get() >= self.machine.most.get();
        let must_leave = !self.is_draining && self.is_left_behind((table, key));
        let open = self.machine.open.get();
        let Table { flows, uplinks } = &mut self.tables[table];
        let carried = flows.carry(key, Volume { datagrams: 1, bytes: 10 }, self.now, uplinks);
        let id = match carried {
            Ok(id) => id,
            Err(discard) => {
                let has_others = self.known.keys().any(|other| other.0 == table && *other != (table, key));
                let made_room =
                    !matches!(discard, Discard::NoSocket | Discard::NoRoom) || self.machine.open.get() < open;
                assert!(made_room || !has_others, "a flow that has a socket makes room");
                return self.discards.push(discard);
            }
        };
        assert!(!self.is_draining || self.known.contains_key(&(table, key)), "no flow begins in a drain");
        let place = self.tables[table].flows.place(id).expect("a carried flow has a place");
        let wire = place.socket.wire;
        self.settle();
        match self.known.get_mut(&(table, key)) {
            Some(known) => {
                assert!(!must_leave, "another endpoint is fit, and that of the flow is not");
                assert_eq!((known.id, known.wire), (id, wire), "a live flow stays at its endpoint");
                known.last = self.now;
                known.datagrams_in += 1;
            }
            None => self.begin((table, key), id, wire),
        }
        self.network.send(Packet::ToEndpoint { wire, about: key }, self.now, &mut self.random);
    }

    fn begin(&mut self, key: (usize, FlowKey), id: FlowId, wire: Wire) {
        self.check_choice(key, id, wire.endpoint);
        let pool = self.pools.len() - 1;
        let known = Known { id, wire, pool, last: self.now, datagrams_in: 1, datagrams_out: 0 };
        self.known.insert(key, known);
    }

    fn reply(&mut self, wire: Wire, about: FlowKey) {
        let Table { flows, uplinks } = &mut self.tables[wire.table];
        if !flows.place(wire.id).is_some_and(|place| place.socket.wire == wire) {
            let known = self.known_key(wire);
            assert_eq!(known, None, "a socket that is closed belongs to no flow");
            return;
        }
        let to = flows.reply(wire.id, Volume { datagrams: 1, bytes: 20 }, self.now, uplinks);
        assert_eq!(to, Some(about), "the response goes where the request came from");
        self.answered += 1;
        let known = self.known.get_mut(&(wire.table, about)).expect("the flow is known");
        known.last = self.now;
        known.datagrams_out += 1;
        self.failed.remove(&(wire.table, about));
        self.machine.in_vain.borrow_mut().retain(|(table, id, _)| (*table, *id) != (wire.table, wire.id));
    }

    /// Ends everything.
    pub(super) fn end(&mut self) {
        for Table { flows, uplinks } in &mut self.tables {
            flows.end_all(self.now, uplinks);
        }
        self.check();
        assert_eq!((self.known.len(), self.proxy.open_flows(), self.machine.open.get()), (0, 0, 0));
    }
}
