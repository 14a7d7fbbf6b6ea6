//! The HTTP edge byte by byte: what clients may send, what they get, and what endpoints get to see.

mod answers;
mod bodies;
mod connections;
mod direct;
mod errors;
mod expectations;
mod http10;
pub(crate) mod http2;
mod informational;
mod keepalive;
mod log;
mod misbehaviour;
mod mutations;
mod owned;
mod paths;
mod pipelining;
mod proxy_protocol;
mod refusals;
mod smuggling;
mod sockets;
mod streaming;
mod timeouts;
mod trailers;
mod tunnels;
mod upgrades;
mod websocket;

use std::fmt::Display;

use crate::support::{Client, Edge, Endpoint, Response};

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// A configuration with one listener, one pool and one route. `listener` are further keys of the listener.
fn site(endpoint: impl Display, listener: &str) -> String {
    site_with(endpoint, listener, "", "- pool: app")
}

/// The same with further keys of the pool, and with these routes.
fn site_with(endpoint: impl Display, listener: &str, pool: &str, routes: &str) -> String {
    format!(
        "listeners:\n  web: {{ bind: \"127.0.0.1:0\", {listener} }}\n\
         pools:\n  app: {{ endpoints: [\"{endpoint}\"], {pool} }}\n\
         routes:\n{routes}\n\
         log: {{ access: {{ format: json, to: LOG }} }}\n"
    )
}

/// An endpoint that answers with the target it was asked for, and an edge in front of it.
async fn echo_site(listener: &str) -> (Endpoint, Edge) {
    let endpoint = echo().await;
    let edge = Edge::start(&site(endpoint.address(), listener)).await;
    (endpoint, edge)
}

/// Answers with the target it was asked for.
async fn echo() -> Endpoint {
    Endpoint::with(|request| {
        let path = request.path();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len())
    })
    .await
}

/// Sends bytes on a connection of their own, reads one answer, and expects the connection to end with it.
async fn refused(edge: &Edge, bytes: impl AsRef<[u8]>) -> Response {
    let mut client: Client = edge.connect().await;
    client.send(bytes).await;
    let response = client.response().await;
    assert_eq!(response.header("connection"), Some("close"), "{}", response.head);
    assert!(client.is_closed().await, "stays open after {}", response.head);
    response
}
