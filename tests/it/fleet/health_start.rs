use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Edge, Endpoint};

use super::{OK, dead, fleet};

/// Longer than any test here may take, so that who waits for a probe to time out fails.
const SLOW: &str = "health: { http: {}, interval: 30s, timeout: 30s },";

/// Answers its probes after so long, and requests at once.
async fn probed_after(delay: Duration) -> Endpoint {
    Endpoint::scripted(move |mut exchange| async move {
        if exchange.request.is_probe() {
            sleep(delay).await;
        }
        exchange.send(OK).await;
        Some(exchange)
    })
    .await
}

#[tokio::test]
async fn a_request_before_the_first_probe_waits_for_it() {
    let endpoint = probed_after(Duration::from_millis(300)).await;
    let edge = Edge::start(&fleet(SLOW, &[&endpoint.address()])).await;
    let begun = Instant::now();
    assert_eq!(edge.get("/").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn one_that_hangs_in_its_first_probe_gets_nothing_and_holds_nobody_up() {
    let hanging = probed_after(Duration::from_secs(3600)).await;
    let good = probed_after(Duration::from_millis(200)).await;
    let edge = Edge::start(&fleet(SLOW, &[&hanging.address(), &good.address()])).await;
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((hanging.requests().len(), good.requests().len()), (0, 20));
}

#[tokio::test]
async fn a_dead_one_gets_nothing_and_holds_nobody_up() {
    let good = probed_after(Duration::ZERO).await;
    let edge = Edge::start(&fleet(SLOW, &[&dead().await, &good.address()])).await;
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_wait_ends_with_the_first_probe_when_all_fail() {
    let edge = Edge::start(&fleet(SLOW, &[&dead().await, &dead().await])).await;
    let begun = Instant::now();
    let response = edge.get("/").await;
    assert_eq!(response.status, 503);
    assert!(response.text().contains("no endpoint is fit"), "{}", response.text());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_wait_is_no_longer_than_a_probe_may_take() {
    let hanging = probed_after(Duration::from_secs(3600)).await;
    let health = "panic: 0%, health: { http: {}, interval: 300ms, timeout: 300ms },";
    let edge = Edge::start(&fleet(health, &[&hanging.address()])).await;
    assert_eq!(edge.get("/").await.status, 503);
    assert!(hanging.requests().is_empty());
}

/// An address that answers no attempt to connect: its queue is full, and nobody takes anything out.
struct BlackHole {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
        }
        Self { listener, _waiting: waiting }
    }
}

#[tokio::test]
async fn a_start_waits_for_no_endpoint() {
    let (hole, good) = (BlackHole::new().await, Endpoint::answering("ok").await);
    let hole_address = hole.listener.local_addr().unwrap();
    let health = "health: { tcp: {}, interval: 30s, timeout: 30s }";
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools:\n  hole: {{ {health}, endpoints: ['{hole_address}'] }}\n  \
           half: {{ {health}, endpoints: ['{hole_address}', '{}'] }}\n\
         routes:\n\
         - {{ match: {{ path: /own }}, respond: {{ body: own }} }}\n\
         - {{ match: {{ path: /half }}, pool: half }}\n\
         - pool: hole\n",
        good.address()
    );
    let edge = Edge::start(&config).await;
    let mut held = edge.connect().await;
    held.send("GET /hole HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    // A client has less patience than a probe here, so that any wait for one fails.
    assert_eq!(edge.get("/own").await.text(), "own");
    for _ in 0..10 {
        assert_eq!(edge.get("/half").await.status, 200);
    }
}
