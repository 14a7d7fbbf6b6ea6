//! Another configuration in the place of the one that is served: what changes, and what is carried on.

mod changes;
mod listeners;
mod pools;
mod requests;
mod sticky;
mod tls;
mod upstream_tls;

use std::net::SocketAddr;

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// A configuration with one pool of these endpoints, with further keys, and one route with these keys.
fn site(route: &str, pool: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ {pool} endpoints: [{}] }} }}
routes: [{{ name: app, {route} }}]
",
        endpoints.join(", ")
    )
}

/// A route to the pool that says on answers by which configuration they came.
fn marked(mark: &str) -> String {
    format!("filters: [{{ response_headers: {{ set: {{ X-Mark: {mark} }} }} }}], pool: app")
}
