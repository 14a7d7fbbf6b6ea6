//! Pools, filters and the life of an edge: which endpoint gets a request, and what happens when it fails.

mod answers;
mod balancing;
mod blame;
mod early_answers;
mod grpc;
mod headers;
mod health;
mod health_grpc;
mod health_http;
mod health_panic;
mod health_start;
mod health_tls;
mod health_udp;
mod in_flight;
mod outliers;
mod proxy_protocol;
mod queueing;
mod rate_limit;
mod retries;
mod retry_policy;
mod rewrite;
mod soak;
mod sticky;
mod stop;
mod stream_timeouts;
mod timeouts;
mod tunnel_timeouts;
mod under_load;
mod upstream_h2;
mod upstream_tls;

use crate::support::{Client, Edge, Endpoint, dead};
use std::fmt::Display;

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A configuration with one pool of these endpoints, with further keys, and one route.
fn fleet(pool: &str, endpoints: &[&dyn Display]) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ {pool} endpoints: [{}] }} }}\n\
         routes: [{{ pool: app }}]\n\
         log: {{ access: {{ to: LOG }} }}\n",
        endpoints.join(", ")
    )
}

/// A configuration with one pool of one endpoint and these routes.
fn routes(endpoint: impl Display, routes: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: ['{endpoint}'] }} }}\n\
         routes:\n{routes}\n\
         log: {{ access: {{ to: LOG }} }}\n"
    )
}

/// The same configuration for endpoints of a test's own.
fn fleet_of(pool: &str, endpoints: &[&Endpoint]) -> String {
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address()).collect();
    fleet(pool, &addresses.iter().map(|address| address as &dyn Display).collect::<Vec<_>>())
}

/// Sends so many requests one after another on one connection; all must succeed.
async fn send_many(edge: &Edge, count: usize) {
    let mut client = edge.connect().await;
    for _ in 0..count {
        client.send(GET).await;
        assert_eq!(client.response().await.status, 200);
    }
}

/// A connection on which a request was sent and not answered yet.
async fn waiting(edge: &Edge) -> Client {
    let mut client = edge.connect().await;
    client.send(GET).await;
    client
}

/// How many attempts all requests of the log took together, once there are so many.
async fn attempts_of(edge: &Edge, requests: usize) -> u64 {
    edge.log_of(requests).await.iter().map(|line| line["attempts"].as_u64().unwrap()).sum()
}
