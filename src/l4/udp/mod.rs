//! Datagrams to pools.
//!
//! All datagrams of one client address and port to one address of this machine are a flow, which one endpoint serves
//! until nothing was sent for a while. `flows` decides about them and knows no socket; `uplinks` is their way to the pool;
//! `io` moves datagrams, many in a system call; `driver` is the task that brings these together for one bound socket;
//! `handover` is how a socket goes to another process.

mod discards;
mod driver;
mod flows;
mod handover;
mod io;
#[cfg(test)]
mod tests;
mod uplinks;

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::ShutdownWatch;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::pools::Pool;
use crate::runtime::{Counted, ListenerCounts};
use crate::types::{EndpointAddr, ListenerName, PoolName};

pub(crate) use discards::{Discard, Discards};
pub(crate) use flows::EndReason;
pub(crate) use handover::{Predecessor, Steering, Turn, channel};

use driver::Driver;
use flows::{FlowLimits, Seats};

/// When flows of a listener end, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UdpSettings {
    /// A flow in which nothing was sent for so long ends.
    pub(crate) idle: Duration,
    /// So many flows at once, over all sockets of the listener.
    pub(crate) flows: u32,
    /// A flow ends once so many responses came for each of its datagrams, as with `proxy_responses` of nginx: `Some(1)`
    /// ends a flow of two requests with the second response. `None` leaves it to `idle`.
    pub(crate) responses: Option<NonZeroU32>,
}

/// What became of a flow.
#[derive(Clone, Debug)]
pub(crate) struct FlowEnd {
    pub(crate) client: SocketAddr,
    /// That which it began in.
    pub(crate) pool: PoolName,
    pub(crate) endpoint: Arc<EndpointAddr>,
    /// From the client.
    pub(crate) datagrams_in: u64,
    /// From the endpoint.
    pub(crate) datagrams_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) began: Instant,
    pub(crate) lasted: Duration,
    /// From the first datagram to the first response.
    pub(crate) first_reply: Option<Duration>,
    pub(crate) reason: EndReason,
}

/// Is told of every flow that ends; it must not wait.
pub(crate) type OnEnd = Box<dyn Fn(&FlowEnd) + Send + Sync>;

/// Passes the datagrams of a listener on. All its sockets share it.
pub(crate) struct UdpProxy {
    listener: ListenerName,
    service: watch::Sender<Service>,
    on_end: OnEnd,
    seats: Arc<Seats>,
    discards: Discards,
}

/// What flows begin with. Each driver has a copy of its own, so that no flow asks for it.
#[derive(Clone, Debug)]
struct Service {
    pool: Arc<Pool>,
    settings: UdpSettings,
}

impl UdpProxy {
    /// The endpoints of `pool` must be IP addresses; flows cannot begin at others.
    pub(crate) fn new(
        listener: ListenerName,
        pool: Arc<Pool>,
        settings: UdpSettings,
        on_end: OnEnd,
    ) -> Arc<Self> {
        let seats = Seats::new(settings.flows as usize);
        let service = watch::Sender::new(Service { pool, settings });
        Arc::new(Self { listener, service, on_end, seats, discards: Discards::default() })
    }

    /// Has flows begin in another pool, or by other settings; the limits of the settings are those of all flows from here
    /// on, and the flows that are too many end. A flow stays with its endpoint until it ends, even if the endpoint is in no
    /// pool any more: only once it is unfit the client's next datagram begins a flow in the new pool.
    pub(crate) fn change(&self, pool: Arc<Pool>, settings: UdpSettings) {
        self.seats.set_most(settings.flows as usize);
        self.service.send_replace(Service { pool, settings });
    }

    /// Passes datagrams on that come to one socket, bound and not connected. Several may be bound to one address with
    /// SO_REUSEPORT, and a run for each of them spreads clients over threads.
    ///
    /// Other processes may read the socket before or after this one ([`Steering`]).
    ///
    /// While `drain` is true no flow begins; it returns when none is left on any of them. Dropping it ends all flows of
    /// the socket.
    ///
    /// # Errors
    /// When the socket or the channel to the process before cannot be set up. After that nothing that happens to it ends the
    /// run.
    pub(crate) async fn run(
        self: Arc<Self>,
        socket: UdpSocket,
        turn: Turn,
        drain: ShutdownWatch,
    ) -> std::io::Result<()> {
        // The kernel spreads clients by the number of sockets: if one were closed, others would get what belongs to flows
        // elsewhere.
        let _open = socket.try_clone()?;
        Driver::new(self.clone(), socket, turn)?.run(drain).await;
        self.seats.vacated().await;
        Ok(())
    }

    /// Clients that are known at this moment.
    pub(crate) fn open_flows(&self) -> usize {
        self.seats.taken()
    }

    /// Counts datagrams that go nowhere, and tells of them once in a while.
    fn discard(&self, reason: Discard, datagrams: u64, now: Instant) {
        let Some(total) = self.discards.count(reason, datagrams, now) else { return };
        let (listener, why) = (&self.listener, reason.as_str());
        let pool = self.service.borrow().pool.name().clone();
        match reason {
            Discard::Draining => {
                log::debug!(
                    "datagrams are dropped listener={listener} pool={pool} reason=\"{why}\" so_far={total}"
                );
            }
            _ => log::warn!(
                "datagrams are dropped listener={listener} pool={pool} reason=\"{why}\" so_far={total}"
            ),
        }
    }
}

impl UdpSettings {
    fn limits(&self) -> FlowLimits {
        FlowLimits { idle: self.idle, responses: self.responses }
    }
}

impl Counted for UdpProxy {
    fn counts(&self) -> ListenerCounts {
        ListenerCounts { open: self.open_flows(), refused: 0, dropped: self.discards.total() }
    }
}

impl fmt::Debug for UdpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpProxy")
            .field("listener", &self.listener)
            .field("service", &*self.service.borrow())
            .field("open_flows", &self.open_flows())
            .finish_non_exhaustive()
    }
}
