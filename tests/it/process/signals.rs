use std::sync::Arc;

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::{Client, Endpoint, eventually};

use super::run::Running;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A process with a request in flight, whose endpoint answers once it may.
async fn busy() -> (Running, Client, Endpoint, Arc<Semaphore>) {
    let (endpoint, gate) = Endpoint::held().await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}', 127.0.0.1:1] }} }}
routes: [{{ pool: app }}]
log: {{ access: {{ to: access.log }} }}
",
        endpoint.address()
    );
    let running = Running::start(&config, 1).await;
    let mut client = Client::connect(running.address()).await;
    client.send(GET).await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    (running, client, endpoint, gate)
}

#[tokio::test]
async fn sigterm_lets_requests_finish() {
    for signal in [Signal::TERM, Signal::QUIT] {
        let (mut running, mut client, _endpoint, gate) = busy().await;
        let address = running.address();
        running.signal(signal);
        eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
        assert!(running.is_running());
        gate.add_permits(1);
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        assert!(client.is_closed().await);
        assert_eq!(running.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn sigint_ends_at_once() {
    let (mut running, mut client, _endpoint, _gate) = busy().await;
    running.signal(Signal::INT);
    assert_eq!(running.exit_code().await, Some(0));
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_second_signal_cuts_the_drain_short() {
    let (mut running, _client, _endpoint, _gate) = busy().await;
    let address = running.address();
    running.signal(Signal::TERM);
    eventually("nobody is accepted", async || TcpStream::connect(address).await.is_err()).await;
    assert!(running.is_running());
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
}
