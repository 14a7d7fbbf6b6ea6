//! The relay: what copies between a client's connection and one to an endpoint until both have said all they had to say.
//!
//! Messages are read into memory that is nobody's while nothing moves, and written at once: one call to receive, one to
//! send. A direction that proves to be bulk is moved by the kernel through a pipe, where both ends are plain sockets.
//! What the receiver does not take is kept, and until it has been taken no more is read: a connection's memory is
//! bounded, and a slow receiver slows its sender.
//!
//! An end of stream goes through as one, in each direction by itself. Whatever else ends a connection in the midst of
//! a stream resets it, since a clean end would make the part that arrived look like the whole.

mod direction;
mod limits;
mod outcome;
mod pipes;
mod socket;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::net::{Socket, Transport};

use direction::Direction;
use limits::{Alarm, Watch};

pub(crate) use limits::RelayLimits;
pub(crate) use outcome::{ClosedBy, End, Relayed};
pub(crate) use pipes::Pipes;

/// A future that copies both ways; on its end, or when it is dropped, both connections are closed.
pub(crate) struct Relay<F> {
    /// Until the end.
    ends: Option<Ends>,
    inward: Direction,
    outward: Direction,
    watch: Watch,
    pipes: Arc<Pipes>,
    ended_first: Option<ClosedBy>,
    first_byte: Option<Instant>,
    on_answer: Option<F>,
}

struct Ends {
    client: Transport,
    endpoint: Transport,
}

impl<F: FnOnce(Instant) + Unpin> Relay<F> {
    /// Calls `on_answer` when the endpoint's first byte comes, or when the connection has held for a second without one:
    /// not all endpoints have something to say. Small messages are as fast as they can be only where
    /// the owner has switched Nagle's algorithm off on both connections.
    pub(crate) fn new(
        client: Transport,
        endpoint: Transport,
        limits: RelayLimits,
        pipes: Arc<Pipes>,
        on_answer: F,
    ) -> Self {
        Self {
            ends: Some(Ends { client, endpoint }),
            inward: Direction::default(),
            outward: Direction::default(),
            watch: Watch::new(limits),
            pipes,
            ended_first: None,
            first_byte: None,
            on_answer: Some(on_answer),
        }
    }

    /// Sends the endpoint first what had already been read from the client.
    pub(crate) fn with_replay(mut self, bytes: Vec<u8>) -> Self {
        self.inward = Direction::with_replay(bytes);
        self
    }

    /// Moves what can be moved at this moment.
    fn poll_ends(&mut self, cx: &mut Context<'_>, ends: &mut Ends) -> Poll<(End, ClosedBy)> {
        let Ends { client, endpoint } = ends;
        let delivered = self.delivered();
        let inward = self.inward.advance(cx, client, endpoint, &self.pipes);
        // Also when that failed: what the endpoint said before it broke off still goes to the client.
        let outward = self.outward.advance(cx, endpoint, client, &self.pipes);
        if self.delivered() > delivered {
            self.watch.moved();
        }
        if self.inward.holds() {
            self.watch.look_again();
        }
        if self.outward.has_begun() && self.first_byte.is_none() {
            let now = Instant::now();
            self.first_byte = Some(now);
            self.note_answer(now);
        }
        let inward = inward.map_err(|fault| fault.by(ClosedBy::Client, ClosedBy::Endpoint));
        let outward = outward.map_err(|fault| fault.by(ClosedBy::Endpoint, ClosedBy::Client));
        match inward.and(outward) {
            Ok(()) => self.poll_close(cx, ends),
            Err(broken) => Poll::Ready((End::Reset, broken)),
        }
    }

    /// Ready once a limit is reached, or a look has found a broken connection.
    fn poll_alarms(&mut self, cx: &mut Context<'_>, ends: &Ends) -> Poll<(End, ClosedBy)> {
        loop {
            match ready!(self.watch.poll(cx)) {
                Alarm::Limit(end) => return Poll::Ready((end, ClosedBy::Edge)),
                Alarm::Look => {
                    if let Some(broken) = self.look(ends) {
                        return Poll::Ready((End::Reset, broken));
                    }
                }
            }
        }
    }

    fn note_answer(&mut self, now: Instant) {
        if let Some(on_answer) = self.on_answer.take() {
            on_answer(now);
        }
    }

    /// Has a look at a connection on which nothing may happen for long: whose has broken, if one has. Nobody reads after
    /// the end of a stream, nor from a client while its endpoint takes nothing, so that a reset would go unnoticed.
    fn look(&mut self, ends: &Ends) -> Option<ClosedBy> {
        self.note_answer(Instant::now());
        let is_after_end = self.ended_first.is_some();
        if !is_after_end && !self.inward.holds() {
            return None;
        }
        self.watch.look_again();
        if !is_after_end && !self.watch.rests() {
            return None;
        }
        let is_broken = |transport: &Transport| transport.socket().is_broken();
        if is_broken(&ends.client) {
            return Some(ClosedBy::Client);
        }
        // What an endpoint said before it broke off is still for a client that is slow to take it.
        (is_after_end && is_broken(&ends.endpoint)).then_some(ClosedBy::Endpoint)
    }

    /// Passes the ends of streams on; ready after the second.
    fn poll_close(&mut self, cx: &mut Context<'_>, ends: &mut Ends) -> Poll<(End, ClosedBy)> {
        let first = match self.ended_first {
            Some(first) => first,
            None if self.inward.has_ended() => ClosedBy::Client,
            None if self.outward.has_ended() => ClosedBy::Endpoint,
            None => return Poll::Pending,
        };
        self.ended_first = Some(first);
        self.watch.look_again();
        if self.inward.is_over() && self.outward.is_over() {
            return self.poll_last_words(cx, ends).map(|()| (End::Finished, first));
        }
        if let Poll::Ready(Err(_)) = self.inward.poll_end(cx, &mut ends.endpoint) {
            return Poll::Ready((End::Reset, ClosedBy::Endpoint));
        }
        if let Poll::Ready(Err(_)) = self.outward.poll_end(cx, &mut ends.client) {
            return Poll::Ready((End::Reset, ClosedBy::Client));
        }
        Poll::Pending
    }

    /// Says on each connection that this was all, where its close would not say so. A peer that has said and heard all
    /// need not listen any more, so no failure counts.
    fn poll_last_words(&mut self, cx: &mut Context<'_>, ends: &mut Ends) -> Poll<()> {
        for (direction, to) in [(&mut self.inward, &mut ends.endpoint), (&mut self.outward, &mut ends.client)]
        {
            if Socket::plain(to).is_none() {
                let _ = ready!(direction.poll_end(cx, to));
            }
        }
        Poll::Ready(())
    }
}

impl<F> Relay<F> {
    /// Ends the connection now, as a limit would.
    pub(crate) fn cut(mut self) -> Relayed {
        self.close(End::Cut);
        self.relayed(End::Cut, ClosedBy::Edge)
    }

    /// Bytes that it has moved: those to the endpoint, and those to the client.
    pub(crate) fn moved(&self) -> (u64, u64) {
        (self.inward.delivered(), self.outward.delivered())
    }

    fn delivered(&self) -> u64 {
        self.inward.delivered() + self.outward.delivered()
    }

    /// Closes both connections: with a reset where a stream may have been broken off. Where the edge ends a connection
    /// that has rested with nothing under way, as between two requests, a clean end is what its peers handle best.
    fn close(&mut self, end: End) {
        let Some(Ends { client, endpoint }) = self.ends.take() else { return };
        let is_broken = match end {
            End::Finished => false,
            End::Reset => true,
            End::IdleTimeout | End::LifetimeOver | End::Cut => self.is_in_midst(),
        };
        let close = if is_broken { Transport::reset } else { socket::close };
        close(client);
        close(endpoint);
    }

    fn is_in_midst(&self) -> bool {
        let holds = self.inward.holds() || self.outward.holds();
        let has_begun = self.inward.has_begun() || self.outward.has_begun();
        holds || (has_begun && !self.watch.rests())
    }

    fn relayed(&self, end: End, closed_by: ClosedBy) -> Relayed {
        Relayed {
            end,
            closed_by,
            bytes_in: self.inward.delivered(),
            bytes_out: self.outward.delivered(),
            first_byte: self.first_byte,
            is_answered: self.on_answer.is_none(),
        }
    }
}

impl<F: FnOnce(Instant) + Unpin> Future for Relay<F> {
    type Output = Relayed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Relayed> {
        let this = self.get_mut();
        let Some(mut ends) = this.ends.take() else { return Poll::Pending };
        let ended = match this.poll_ends(cx, &mut ends) {
            Poll::Pending => this.poll_alarms(cx, &ends),
            ended @ Poll::Ready(_) => ended,
        };
        this.ends = Some(ends);
        let (end, closed_by) = ready!(ended);
        this.close(end);
        Poll::Ready(this.relayed(end, closed_by))
    }
}

/// One that is dropped before its end is cut.
impl<F> Drop for Relay<F> {
    fn drop(&mut self) {
        self.close(End::Cut);
    }
}
