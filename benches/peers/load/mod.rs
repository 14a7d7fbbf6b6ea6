//! Load of several kinds, and what it says of itself.

mod h2load;
pub(crate) mod handshakes;
pub(crate) mod wrk;

use rustls::HandshakeKind;

use crate::{peer::Proxy, request::STORED, rows::Row, site::Site, support::Outcome, tls::client::Exchange};
use h2load::Streams;

/// What a load client says of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Requests or handshakes.
    pub(crate) done: f64,
    /// So many per second.
    pub(crate) rate: f64,
    /// Where the client measures it.
    pub(crate) latency: Option<Latency>,
}

/// Latency in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Loads `proxy` with the work of `row` for `seconds`.
///
/// # Errors
/// When the client cannot run, takes far longer than it should, or met any failure.
pub(crate) fn run(site: &Site, proxy: &Proxy, row: Row, seconds: u32) -> Outcome<Load> {
    match row {
        Row::Handshake => handshakes::run(site, proxy, Exchange::X25519, HandshakeKind::Full, seconds),
        Row::HybridHandshake => handshakes::run(site, proxy, Exchange::Hybrid, HandshakeKind::Full, seconds),
        Row::Resumed => handshakes::run(site, proxy, Exchange::X25519, HandshakeKind::Resumed, seconds),
        Row::TlsHttp2One => h2load::run(site, proxy, Streams { connections: 1, on_each: 100 }, seconds),
        Row::TlsHttp2Many => h2load::run(site, proxy, Streams { connections: 20, on_each: 5 }, seconds),
        Row::Plain | Row::Signals | Row::TlsHttp1 => wrk::run(site, proxy, "/", seconds),
        Row::Stored => wrk::run(site, proxy, STORED, seconds),
        Row::TlsIdle => Err("idle connections are no load".into()),
    }
}
