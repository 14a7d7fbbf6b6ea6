//! What the tests stand on: an edge in this process, endpoints that follow a script, and clients that send bytes.

mod certs;
mod client;
mod edge;
mod endpoint;
mod h2_endpoint;
#[expect(dead_code, reason = "the tests of the filter use all of it")]
#[path = "../../../src/filters/jwt/issuer.rs"]
pub mod issuer;
#[path = "../../../src/filters/geo/writer.rs"]
pub mod mmdb;
pub mod raw_h2;
mod redis;
mod spy;
mod tls_front;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time::Instant;

pub use certs::{Ca, Issued};
pub use client::{Client, Response};
pub use edge::Edge;
pub use endpoint::{Endpoint, Exchange, Request};
pub use h2_endpoint::{H2Endpoint, H2Exchange, H2Settings};
pub use redis::Redis;
pub use spy::Spy;
pub use tls_front::TlsFront;

/// No single step of a test takes longer than this; it only turns a hang into a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, and fails the test if it never does.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An address where nobody listens, now or later: the port stays bound to a socket that never does, so that no other
/// test is given it.
pub async fn dead() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}
