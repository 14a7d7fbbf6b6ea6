use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::config::spec::{RetryOn, SendProxyProtocol};
use crate::net::{Transport, is_shortage};
use crate::pools::{Endpoint, Fault, Lease, Pool, Reserved, Terms, Tried, Unreserved, back_off, reserve};
use crate::runtime::{Cause, Peer, TlsFault};
use crate::types::{ProxyHeader, Tlvs, with_random};

use super::pick_cx;
use super::record::Record;

/// An endpoint with a connection to it.
pub(super) struct Reached {
    pub(super) endpoint: Transport,
    pub(super) pool: Arc<Pool>,
    pub(super) lease: Lease,
    /// How long the attempt took that succeeded.
    pub(super) took: Duration,
}

/// Why there is no connection.
struct Unreached {
    cause: Cause,
    error: Option<io::Error>,
}

/// Connects to an endpoint of `pool` until `due`, and to another where one fails. Nothing of the client's was sent by
/// then, so that this is always safe.
pub(super) async fn reach(pool: Arc<Pool>, record: &mut Record, due: Instant) -> Result<Reached, Cause> {
    record.pool = Some(pool.clone());
    let terms = Terms { pinned: None, now: Instant::now(), until: Some(due) };
    let reserved = reserve(&pool, |now| pick_cx(record, now), terms).await;
    // All the time there was went by in line.
    let in_line =
        |why: Unreserved| if why == Unreserved::OutOfTime { Cause::QueueTimeout } else { why.into() };
    let Reserved { mut lease, .. } = reserved.map_err(in_line)?;
    let mut tried = Tried::new();
    loop {
        record.attempts += 1;
        record.endpoint = Some(lease.endpoint().address().clone());
        let began = Instant::now();
        let full = began + most(&pool, lease.endpoint());
        // Earlier attempts, or the wait for room, may leave this one less time than endpoints have.
        let (unreached, is_cut_short) =
            match timeout_at(due.min(full), dial(&pool, lease.endpoint(), record)).await {
                Ok(Ok(endpoint)) => {
                    let took = began.elapsed();
                    record.connected = Some(Instant::now());
                    lease.endpoint().note_connection();
                    return Ok(Reached { endpoint, pool, lease, took });
                }
                Ok(Err(unreached)) => (unreached, false),
                Err(_) => (Unreached { cause: Cause::ConnectTimeout, error: None }, due < full),
            };
        tell(&pool, &lease, &unreached);
        let Unreached { cause, error } = unreached;
        if !is_cut_short && !error.is_some_and(|error| is_shortage(&error)) {
            pool.failed(&lease, Fault::from(&cause), None, Instant::now());
        }
        tried.push(lease.endpoint().clone());
        drop(lease);
        lease = another(&pool, &tried, due).await.ok_or(cause)?;
    }
}

/// An endpoint for the next attempt, where there is to be one.
async fn another(pool: &Pool, tried: &Tried, due: Instant) -> Option<Lease> {
    let retry = &pool.config().retry;
    let retries = u8::try_from(tried.len()).unwrap_or(u8::MAX);
    let is_wanted = retry.on.as_slice().contains(&RetryOn::Connect) && retries <= retry.attempts;
    if !is_wanted || Instant::now() >= due {
        return None;
    }
    if pool.would_repeat(tried) {
        // Whoever waits holds no place.
        sleep(with_random(|random| back_off(retries, random))).await;
    }
    with_random(|random| pool.pick_another(tried, Instant::now(), random))
}

/// How long an attempt may take.
fn most(pool: &Pool, endpoint: &Endpoint) -> Duration {
    let timeouts = pool.timeouts();
    if endpoint.pool().tls.is_some() { timeouts.handshake.get() } else { timeouts.connect.get() }
}

async fn dial(pool: &Pool, endpoint: &Endpoint, record: &Record) -> Result<Transport, Unreached> {
    let failed = |error| Unreached { cause: Cause::ConnectFailed, error: Some(error) };
    let connecting = timeout(pool.timeouts().connect.get(), Transport::connect(endpoint.address()));
    let too_slow = |_| Unreached { cause: Cause::ConnectTimeout, error: None };
    let mut transport = connecting.await.map_err(too_slow)?.map_err(failed)?;
    if let Some(header) = proxy_header(endpoint, record) {
        transport.write_all(&header).await.map_err(failed)?;
    }
    let Some((client, name)) = endpoint.tls_client() else { return Ok(transport) };
    let refused = |error| Unreached { cause: Cause::TlsFailed(tls_fault(&error)), error: Some(error) };
    let name = ServerName::try_from(name).map_err(|error| refused(io::Error::other(error)))?;
    let connector = TlsConnector::from(client.clone());
    let stream = connector.connect(name, transport).await.map_err(refused)?;
    Ok(Transport::Tls(Box::new(stream.into())))
}

/// The PROXY header that the endpoint is told by whose connection it is.
fn proxy_header(endpoint: &Endpoint, record: &Record) -> Option<Vec<u8>> {
    let client = match record.ends.peer {
        Peer::Inet(address) => Some(address),
        Peer::Unix | Peer::Hidden(_) => None,
    };
    let header = ProxyHeader::of_client(client, record.ends.reached);
    match endpoint.pool().send_proxy_protocol {
        SendProxyProtocol::Off => None,
        SendProxyProtocol::V1 => Some(header.to_v1()),
        SendProxyProtocol::V2 => {
            // What both sides will agree on is known only where there is no choice.
            let alpn = match record.asked.as_ref().map_or(&[][..], |asked| &asked.protocols) {
                [only] => Some(only.as_slice()),
                _ => None,
            };
            Some(header.to_v2(Tlvs { alpn, authority: record.server_name() }))
        }
    }
}

fn tls_fault(error: &io::Error) -> TlsFault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => TlsFault::Certificate,
        _ => TlsFault::Protocol,
    }
}

/// Tells operators why an endpoint is not reached; once in a while is enough.
fn tell(pool: &Pool, lease: &Lease, unreached: &Unreached) {
    let endpoint = lease.endpoint();
    if endpoint.may_tell(Instant::now()) {
        let (pool, address, cause) = (pool.name(), endpoint.address(), unreached.cause.word());
        let reason = unreached.error.as_ref().map_or("too slow".to_owned(), ToString::to_string);
        log::warn!("endpoint is not reached pool={pool} endpoint={address} cause={cause} error={reason:?}");
    }
}
