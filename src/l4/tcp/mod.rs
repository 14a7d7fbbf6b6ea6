//! Connections that are passed on: which pool, which endpoint, and what is told of it afterwards.

mod counted;
mod reach;
mod record;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use crate::hooks::{PickCx, TlsSession, Variables};
use crate::net::Transport;
use crate::pools::{Fault, Lease, Pool};
use crate::runtime::{Cause, Ending, Ends, Listener, Stage, StageWatch, TcpService};
use crate::telemetry::AccessLog;
use crate::tls::{FirstWords, Wishes};

use super::relay::{ClosedBy, End, Pipes, Relay, RelayLimits, Relayed};

use counted::Counted;
use reach::Reached;
use record::Record;

/// Pipes at once, each of which is two descriptors. Bulk that finds none left is copied.
const PIPES: usize = 256;

/// Passes connections on to the endpoints of pools.
#[derive(Debug)]
pub(super) struct TcpProxy {
    log: Arc<AccessLog>,
    pipes: Arc<Pipes>,
}

/// A client's connection, with what is known of it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) client: Transport,
    pub(crate) ends: Ends,
    /// What the handshake came to, where TLS ended here.
    pub(crate) tls: Option<Arc<TlsSession>>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) accepted: Instant,
    pub(crate) ending: Ending,
}

/// What an endpoint is sought for.
struct Sought<'a> {
    tls: Option<&'a TlsSession>,
    service: &'a TcpService,
    accepted: Instant,
    ending: &'a Ending,
}

/// A client's connection and one to an endpoint.
struct Joined {
    client: Transport,
    endpoint: Transport,
    /// What was read of the client before.
    replay: Vec<u8>,
    limits: RelayLimits,
    hold: Hold,
    record: Record,
}

/// What a connection holds for as long as it lasts.
struct Hold {
    pool: Arc<Pool>,
    lease: Lease,
    /// How long it took to reach the endpoint.
    took: Duration,
}

impl TcpProxy {
    pub(super) fn new(log: Arc<AccessLog>) -> Self {
        Self { log, pipes: Pipes::new(PIPES) }
    }

    /// Passes a connection on, to its end.
    pub(super) async fn pass(&self, arrival: Arrival) {
        let ending = arrival.ending.clone();
        // Boxed: what is over once an endpoint is reached is no memory of the connection for its life.
        let Some(joined) = Box::pin(self.join(arrival)).await else { return };
        let Joined { client, endpoint, replay, limits, hold, record } = joined;
        let on_answer = |now| hold.pool.answered(&hold.lease, hold.took, now);
        let relayed = {
            let relay = Relay::new(client, endpoint, limits, self.pipes.clone(), on_answer);
            let mut relay = relay.with_replay(replay);
            // It is looked at whenever a byte passes.
            let mut stages = StageWatch::new(&ending);
            let relayed = tokio::select! {
                biased;
                relayed = Counted::new(&mut relay, hold.lease.endpoint()) => Some(relayed),
                () = stages.reached(Stage::AllCut) => None,
            };
            relayed.unwrap_or_else(|| relay.cut())
        };
        hold.judge(&relayed);
        drop(hold);
        record.write(&relayed, &self.log);
    }

    /// Finds an endpoint for a connection. `None` when there is none: the client is gone by then.
    async fn join(&self, arrival: Arrival) -> Option<Joined> {
        let Arrival { mut client, ends, tls, listener, accepted, ending } = arrival;
        let service = listener.tcp()?;
        let mut record = Record::new(listener.clone(), ends);
        let sought = Sought { tls: tls.as_deref(), service, accepted, ending: &ending };
        match seek(&mut client, sought, &mut record).await {
            Ok((Reached { endpoint, pool, lease, took }, replay)) => {
                let limits = RelayLimits { idle: service.idle, lifetime: service.lifetime };
                let hold = Hold { pool, lease, took };
                Some(Joined { client, endpoint, replay, limits, hold, record })
            }
            Err(unserved) => {
                // A clean end would look as if an endpoint had nothing to say.
                client.reset();
                record.write_failure(&unserved, &self.log);
                None
            }
        }
    }
}

/// Reaches an endpoint of the pool that the client is for. Beside it what was read of the client meanwhile.
async fn seek(
    client: &mut Transport,
    Sought { tls, service, accepted, ending }: Sought<'_>,
    record: &mut Record,
) -> Result<(Reached, Vec<u8>), Unserved> {
    let FirstWords { bytes, hello } = tokio::select! {
        biased;
        words = first_words(client, tls, &record.listener, service) => words?,
        // A client that has not said whom it wants does not hold a drain up.
        () = ending.gives_up(accepted) => return Err(Unserved::Cut),
    };
    record.asked = hello;
    let (name, protocols) = asked(record.asked.as_ref());
    let pool = service.pool_for(name, protocols).ok_or(Cause::NoRoute)?;
    let due = Instant::now() + service.connect;
    tokio::select! {
        biased;
        reached = reach::reach(pool.clone(), record, due) => Ok((reached?, bytes)),
        // Nobody is sought for a client that is gone.
        () = client.socket().broken() => Err(Cause::ClientGone.into()),
    }
}

/// Why a connection is not passed on.
enum Unserved {
    Cause(Cause),
    /// It drains.
    Cut,
}

impl From<Cause> for Unserved {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

/// What the client asks for, where that decides. Nothing is read where it does not, since the server may be the one that
/// speaks first.
async fn first_words(
    client: &mut Transport,
    tls: Option<&TlsSession>,
    listener: &Listener,
    service: &TcpService,
) -> Result<FirstWords, Cause> {
    if let Some(tls) = tls {
        let hello = Wishes { server_name: tls.server_name.clone(), protocols: Vec::new() };
        return Ok(FirstWords { bytes: Vec::new(), hello: Some(hello) });
    }
    if !service.routes_by_name() {
        return Ok(FirstWords { bytes: Vec::new(), hello: None });
    }
    let due = Instant::now() + listener.limits.handshake.get();
    match timeout_at(due, FirstWords::read(client)).await {
        Ok(Ok(words)) if words.bytes.is_empty() => Err(Cause::ClientGone),
        Ok(words) => words.map_err(|_| Cause::ClientGone),
        Err(_) => Err(Cause::HeaderTimeout),
    }
}

fn asked(hello: Option<&Wishes>) -> (Option<&str>, impl Iterator<Item = &[u8]> + Clone) {
    let protocols = hello.map_or(&[][..], |hello| &hello.protocols);
    (hello.and_then(|hello| hello.server_name.as_deref()), protocols.iter().map(Vec::as_slice))
}

impl Hold {
    /// Tells the pool what became of the connection: one that the endpoint broke before it had said anything failed.
    fn judge(&self, relayed: &Relayed) {
        let now = Instant::now();
        let is_broken = relayed.end == End::Reset && relayed.closed_by == ClosedBy::Endpoint;
        if is_broken && relayed.first_byte.is_none() {
            self.pool.failed(&self.lease, Fault::UpstreamClosed, None, now);
        } else if relayed.is_answered || relayed.end == End::Finished {
            // Not all protocols have answers.
            if !relayed.is_answered {
                self.pool.answered(&self.lease, self.took, now);
            }
            self.pool.succeeded(&self.lease, now);
        }
    }
}

/// What policies see of a connection.
fn pick_cx<'a>(record: &'a Record, now: Instant) -> PickCx<'a> {
    static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    PickCx {
        client_ip: record.client_ip().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        now,
        host: record.server_name().unwrap_or_default(),
        path: "",
        query: None,
        headers: &NO_HEADERS,
        variables: Variables::NONE,
        notes: None,
    }
}
