//! The table of flows: which client is served by which endpoint, and for how long.
//!
//! It knows neither sockets nor pools nor a clock: time comes with each call, and endpoints are found through
//! [`Destinations`]. So the simulation in the tests runs the very same code that serves.

mod flow;
mod recency;
mod share;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::discards::Discard;

pub(crate) use flow::EndReason;
pub(super) use flow::{Destinations, Ended, FlowKey, Tally, Volume};
pub(super) use recency::FlowId;
pub(super) use share::Seats;

use flow::Flow;
use recency::Recency;
use share::Seat;

/// What ends flows.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowLimits {
    /// A flow in which nothing was sent for so long ends.
    pub(super) idle: Duration,
    /// A flow ends once so many responses came for each of its datagrams.
    pub(super) responses: Option<NonZeroU32>,
}

/// Where flows begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    Here,
    /// In another process, so those whose endpoint is no longer fit can go there.
    Elsewhere,
    Nowhere,
}

/// The flows of one socket.
pub(super) struct Flows<D: Destinations> {
    limits: FlowLimits,
    seats: Arc<Seats>,
    /// Addresses can be chosen by whoever sends, so the hash is one that cannot be foretold.
    by_key: HashMap<FlowKey, FlowId>,
    /// All flows may be idle for the same time, so the order of their last use is the order of their ends.
    order: Recency<Flow<D>>,
    /// Flows that have an endpoint.
    live: usize,
    begins: Begins,
}

impl<D: Destinations> Flows<D> {
    pub(super) fn new(limits: FlowLimits, seats: Arc<Seats>) -> Self {
        Self { limits, seats, by_key: HashMap::new(), order: Recency::new(), live: 0, begins: Begins::Here }
    }

    /// Flows that have an endpoint.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Clients whose flows have an endpoint.
    pub(super) fn live_keys(&self) -> impl Iterator<Item = FlowKey> {
        self.by_key.iter().filter(|(_, id)| self.place(**id).is_some()).map(|(key, _)| *key)
    }

    pub(super) fn is_live(&self, key: &FlowKey) -> bool {
        self.by_key.get(key).is_some_and(|id| self.place(*id).is_some())
    }

    /// Changes where flows begin from here on.
    pub(super) fn set_begins(&mut self, begins: Begins) {
        self.begins = begins;
    }

    /// Changes what ends flows, those too that there are.
    pub(super) fn set_limits(&mut self, limits: FlowLimits) {
        self.limits = limits;
    }

    pub(super) fn place(&self, id: FlowId) -> Option<&D::Place> {
        self.order.get(id)?.place.as_ref()
    }

    // === Datagrams ===

    /// Datagrams of a client came: finds its flow, or begins one. They go to the flow's place.
    pub(super) fn carry(
        &mut self,
        key: FlowKey,
        volume: Volume,
        now: Instant,
        to: &mut D,
    ) -> Result<FlowId, Discard> {
        let id = match self.by_key.get(&key) {
            Some(&id) => self.go_on(id, now, to)?,
            None => self.begin(key, now, to)?,
        };
        if let Some(flow) = self.order.get_mut(id) {
            flow.count_in(volume, to);
        }
        Ok(id)
    }

    /// Datagrams of an endpoint came: says whom they go to. `None` when their flow has ended.
    pub(super) fn reply(&mut self, id: FlowId, volume: Volume, now: Instant, to: &mut D) -> Option<FlowKey> {
        let flow = self.order.get_mut(id)?;
        let place = flow.place.as_ref()?;
        if flow.tally.first_reply.is_none() {
            let latency = now.saturating_duration_since(flow.tally.began);
            flow.tally.first_reply = Some(latency);
            flow.tried = D::Tried::default();
            to.answered(place, latency, now);
        }
        flow.count_out(volume, to);
        let (key, tally) = (flow.key, flow.tally);
        self.touch(id, now);
        if self.has_all_responses(&tally) {
            self.end(id, EndReason::Responses, now, to);
        }
        Some(key)
    }

    /// As `proxy_responses` of nginx has it: a flow of several datagrams waits for the responses to all of them.
    fn has_all_responses(&self, tally: &Tally) -> bool {
        let expected = |each: NonZeroU32| u64::from(each.get()).saturating_mul(tally.datagrams_in);
        self.limits.responses.is_some_and(|each| tally.datagrams_out >= expected(each))
    }

    /// A flow's endpoint failed. The flow ends; the client's next datagram begins another, elsewhere if possible.
    pub(super) fn lose(&mut self, id: FlowId, now: Instant, to: &mut D) {
        let Some(flow) = self.order.get_mut(id) else { return };
        if let Some(place) = &flow.place {
            to.avoid(place, &mut flow.tried);
            self.leave(id, EndReason::EndpointFailed, now, to);
        }
    }

    fn go_on(&mut self, id: FlowId, now: Instant, to: &mut D) -> Result<FlowId, Discard> {
        // First of all, so that it is another flow that makes room if this one needs a new socket.
        self.touch(id, now);
        if self.place(id).is_some_and(|place| self.begins != Begins::Nowhere && to.is_unfit(place)) {
            self.leave(id, EndReason::EndpointUnfit, now, to);
        }
        if self.place(id).is_none() {
            self.reach(id, now, to)?;
        }
        Ok(id)
    }

    fn touch(&mut self, id: FlowId, now: Instant) {
        self.order.touch(id);
        if let Some(flow) = self.order.get_mut(id) {
            flow.last = now;
        }
    }

    fn begin(&mut self, key: FlowKey, now: Instant, to: &mut D) -> Result<FlowId, Discard> {
        let seat = self.seats.take();
        if seat.is_none() && self.order.len() == 0 {
            return Err(Discard::Full);
        }
        // In the table before it has anything, so that its socket is told apart by its name.
        let id = self.order.insert(Flow::new(key, now));
        let seated = self.reach(id, now, to).and_then(|()| {
            let seat = seat.or_else(|| self.evict(id, now, to)).or_else(|| self.seats.take());
            seat.ok_or(Discard::Full)
        });
        match seated {
            Ok(seat) => {
                self.by_key.insert(key, id);
                if let Some(flow) = self.order.get_mut(id) {
                    flow.seat = Some(seat);
                }
                Ok(id)
            }
            Err(discard) => {
                let flow = self.order.remove(id);
                self.live -= usize::from(flow.is_some_and(|flow| flow.place.is_some()));
                Err(discard)
            }
        }
    }

    /// Finds an endpoint for a flow that has none. Where the process has no socket left, or no endpoint room, the flow that
    /// was idle the longest makes room: else a few forged datagrams would keep everybody out for as long as flows may idle.
    fn reach(&mut self, id: FlowId, now: Instant, to: &mut D) -> Result<(), Discard> {
        if self.begins != Begins::Here {
            return Err(Discard::Draining);
        }
        let place = match self.try_reach(id, now, to) {
            Err(Discard::NoSocket | Discard::NoRoom) if self.make_room(id, now, to) => {
                self.try_reach(id, now, to)?
            }
            reached => reached?,
        };
        if let Some(flow) = self.order.get_mut(id) {
            flow.place = Some(place);
            flow.tally = Tally::new(now);
            self.live += 1;
        }
        Ok(())
    }

    fn try_reach(&mut self, id: FlowId, now: Instant, to: &mut D) -> Result<D::Place, Discard> {
        let Some(flow) = self.order.get_mut(id) else { return Err(Discard::Full) };
        to.reach(id, flow.key.client.ip(), &mut flow.tried, now)
    }

    // === Ends ===

    /// Ends flows that were idle for too long, or have become too many, `most` of them at once. Returns whether there may
    /// be more.
    pub(super) fn expire(&mut self, most: usize, now: Instant, to: &mut D) -> bool {
        for _ in 0..most {
            let Some((id, flow)) = self.order.oldest() else { return false };
            let reason = match flow.last + self.limits.idle <= now {
                true => EndReason::Idle,
                false if self.seats.are_too_few() => EndReason::Evicted,
                false => return false,
            };
            self.end(id, reason, now, to);
        }
        true
    }

    /// When the next flow ends, if nothing is sent in it until then.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.order.oldest().map(|(_, flow)| flow.last + self.limits.idle)
    }

    pub(super) fn end_all(&mut self, now: Instant, to: &mut D) {
        while let Some((id, _)) = self.order.oldest() {
            self.end(id, EndReason::Drained, now, to);
        }
    }

    /// Ends flows, those first that were idle the longest, until one of them had a place. Returns whether one had.
    fn make_room(&mut self, other: FlowId, now: Instant, to: &mut D) -> bool {
        let before = self.live;
        while self.live == before && self.evict(other, now, to).is_some() {}
        self.live < before
    }

    /// Ends the flow that was idle the longest, for another one. Returns its seat.
    fn evict(&mut self, other: FlowId, now: Instant, to: &mut D) -> Option<Seat> {
        let (id, _) = self.order.oldest().filter(|(id, _)| *id != other)?;
        self.end(id, EndReason::Evicted, now, to)
    }

    fn end(&mut self, id: FlowId, reason: EndReason, now: Instant, to: &mut D) -> Option<Seat> {
        self.leave(id, reason, now, to);
        let flow = self.order.remove(id)?;
        self.by_key.remove(&flow.key);
        flow.seat
    }

    /// Gives a flow's place back; the client stays known.
    fn leave(&mut self, id: FlowId, reason: EndReason, now: Instant, to: &mut D) {
        let Some(flow) = self.order.get_mut(id) else { return };
        if let Some(place) = flow.place.take() {
            self.live -= 1;
            to.passed(&place, &mut flow.uncounted);
            to.ended(Ended { key: flow.key, tally: flow.tally, place, reason }, now);
        }
    }
}

/// What the simulation holds against its model.
#[cfg(test)]
impl<D: Destinations> Flows<D> {
    /// Checks that table, order and counts agree; gives all clients from the oldest to the newest, each with its name,
    /// last use and place.
    pub(super) fn checked(&self) -> Vec<(FlowKey, FlowId, Instant, Option<&D::Place>)> {
        let entries: Vec<_> = self.order.in_order();
        assert_eq!(self.by_key.len(), entries.len(), "the table and the order hold the same number");
        let live = entries.iter().filter(|(_, flow)| flow.place.is_some()).count();
        assert_eq!(live, self.live, "live flows are counted");
        assert!(entries.is_sorted_by_key(|(_, flow)| flow.last), "the order is that of the last use");
        for (id, flow) in &entries {
            assert_eq!(self.by_key.get(&flow.key), Some(id), "the table names the entry");
            assert!(flow.seat.is_some(), "every flow is counted in");
        }
        entries.into_iter().map(|(id, flow)| (flow.key, id, flow.last, flow.place.as_ref())).collect()
    }
}
