use std::net::SocketAddr;

use crate::l4::udp::flows::{FlowId, FlowKey};
use crate::l4::udp::{EndReason, FlowEnd};
use crate::pools::State;
use crate::types::EndpointAddr;

use super::world::{Known, World, find};

impl World {
    /// Takes note of the flows that ended, and checks that each had a reason to.
    pub(super) fn settle(&mut self) {
        // A flow closes its socket when it ends. Those that never became a flow are not known.
        let closed = self.machine.closed.take();
        let keys: Vec<_> = closed.into_iter().filter_map(|wire| self.known_key(wire)).collect();
        let ended = std::mem::take(&mut *self.ends.lock());
        assert_eq!(keys.len(), ended.len(), "what ended is told: {ended:?}");
        for (key, end) in keys.into_iter().zip(ended) {
            let known = self.known.remove(&key).expect("the flow is known");
            assert_eq!(end.client, key.1.client);
            assert_eq!(end.pool, *self.pools[known.pool].name());
            assert_eq!(end.endpoint.to_string(), known.wire.endpoint.to_string());
            assert_eq!((end.bytes_in, end.bytes_out), (10 * end.datagrams_in, 20 * end.datagrams_out));
            self.check_end(key, &end, known);
            self.reasons.push(end.reason);
        }
        (self.lost, self.may_evict) = (None, false);
    }

    fn check_end(&self, (table, _): (usize, FlowKey), end: &FlowEnd, known: Known) {
        let silent = self.now - known.last;
        match end.reason {
            EndReason::Idle => assert!(silent >= self.settings.idle, "early: {silent:?} {end:?}"),
            EndReason::Responses => {
                let each = self.settings.responses.expect("responses are counted").get();
                assert_eq!((end.datagrams_in, end.datagrams_out), (known.datagrams_in, known.datagrams_out));
                assert!(known.datagrams_out >= known.datagrams_in * u64::from(each), "{end:?}");
            }
            EndReason::Evicted => {
                assert!(self.may_evict, "there was a place: {end:?}");
                let others = self.known.iter().filter(|((other, _), _)| *other == table);
                let oldest = others.map(|(_, other)| other.last).min();
                assert!(oldest.is_none_or(|oldest| known.last <= oldest), "not the oldest: {end:?}");
            }
            EndReason::EndpointFailed => assert_eq!(self.lost, Some(known.wire.number), "{end:?}"),
            EndReason::EndpointUnfit => {
                let state = self.state_of(&known);
                assert!(matches!(state, State::Unfit | State::Ejected), "{state:?} {end:?}");
            }
            EndReason::Drained => {}
        }
    }

    fn state_of(&self, known: &Known) -> State {
        find(&self.pools[known.pool], known.wire.endpoint).expect("the pool has it").state()
    }

    /// Whether a flow's endpoint gets no work any more while another does.
    pub(super) fn is_left_behind(&self, key: (usize, FlowKey)) -> bool {
        let Some(known) = self.known.get(&key) else { return false };
        let is_unfit = matches!(self.state_of(known), State::Unfit | State::Ejected);
        is_unfit
            && self
                .pool()
                .endpoints()
                .iter()
                .any(|other| other.state() == State::Fit && other.load().has_room())
    }

    /// Checks that a client does not come to an endpoint that failed it while there is another.
    pub(super) fn check_choice(&self, key: (usize, FlowKey), id: FlowId, chosen: SocketAddr) {
        let Some(failed) = self.failed.get(&key).filter(|failed| failed.contains(&chosen)) else { return };
        let in_vain = self.machine.in_vain.borrow();
        for endpoint in self.pool().endpoints() {
            let EndpointAddr::Inet(address) = **endpoint.address() else {
                unreachable!("all are IP addresses")
            };
            let is_possible = endpoint.state() == State::Fit
                && endpoint.load().has_room()
                && !failed.contains(&address)
                && !in_vain.contains(&(key.0, id, address));
            assert!(!is_possible, "{chosen} failed the client, {address} did not");
        }
    }

    /// Checks everything that holds at any time.
    pub(super) fn check(&mut self) {
        self.settle();
        let mut clients = 0;
        for (number, table) in self.tables.iter().enumerate() {
            for (key, id, last, place) in table.flows.checked() {
                clients += 1;
                assert!(last + self.settings.idle > self.now, "it should have ended");
                let known = self.known.get(&(number, key));
                assert_eq!(place.map(|place| place.socket.wire), known.map(|known| known.wire));
                let Some(known) = known else { continue };
                assert_eq!((known.id, known.last), (id, last));
            }
        }
        let live: usize = self.tables.iter().map(|table| table.flows.live()).sum();
        assert_eq!(self.known.len(), live, "every flow that is known is in a table");
        assert_eq!(self.proxy.open_flows(), clients, "every client is counted");
        assert!(clients <= self.settings.flows as usize, "{clients} clients");
        assert_eq!(self.machine.open.get(), live, "every flow has a socket, and no other is open");
        for (number, pool) in self.pools.iter().enumerate() {
            let live = self.known.values().filter(|known| known.pool == number).count();
            assert_eq!(pool.in_flight() as usize, live, "the pool counts its flows");
            let at_endpoints: u32 = pool.endpoints().iter().map(|endpoint| endpoint.in_flight()).sum();
            assert_eq!(at_endpoints as usize, live, "the endpoints count flows");
        }
        self.forget_failures();
    }

    /// A client that is no longer in the table is a new one the next time.
    fn forget_failures(&mut self) {
        let mut kept = std::mem::take(&mut self.failed);
        kept.retain(|(table, key), _| {
            self.tables[*table].flows.checked().iter().any(|(other, ..)| other == key)
        });
        self.failed = kept;
    }
}
