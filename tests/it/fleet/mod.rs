//! Pools, filters and the life of an edge: which endpoint gets a request, and what happens when it fails.

mod answers;
mod balancing;
mod blame;
mod headers;
mod health;
mod health_grpc;
mod health_http;
mod health_panic;
mod health_start;
mod health_tls;
mod in_flight;
mod outliers;
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

use std::fmt::Display;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::support::{Client, Edge, Endpoint, dead};

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

/// An endpoint that answers one request for each permit, and probes at once.
async fn held() -> (Endpoint, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let script_gate = gate.clone();
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let gate = script_gate.clone();
        async move {
            if !exchange.request.is_probe() {
                gate.acquire().await.unwrap().forget();
            }
            exchange.send(OK).await;
            Some(exchange)
        }
    })
    .await;
    (endpoint, gate)
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
