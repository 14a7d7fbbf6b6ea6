//! Requests that are on their way while another configuration takes the place of theirs.

use std::sync::Arc;

use http::Request;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::{Client, Edge, Endpoint, Exchange, eventually};

use super::{GET, marked, site};

/// A configuration that has neither the pool nor the route of the others.
const NOTHING: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ name: nothing, respond: { status: 410 } }]
";

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n";

async fn begun(edge: &Edge, endpoint: &Endpoint) -> Client {
    let before = endpoint.requests().len();
    let mut client = edge.connect().await;
    client.send(GET).await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() > before).await;
    client
}

#[tokio::test]
async fn a_request_keeps_the_configuration_that_it_began_with() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&site(&marked("old"), "", &[endpoint.address()])).await;
    let mut client = begun(&edge, &endpoint).await;
    edge.reload(&site(&marked("new"), "", &[endpoint.address()])).await;
    gate.add_permits(2);
    assert_eq!(client.response().await.header("x-mark"), Some("old"));
    // The same connection goes on by the new one.
    client.send(GET).await;
    assert_eq!(client.response().await.header("x-mark"), Some("new"));
}

#[tokio::test]
async fn routes_come_and_go_on_connections_that_stay() {
    let routes =
        |routes: &str| format!("listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\nroutes: [{routes}]\n");
    let respond =
        |path: &str, status: u16| format!("{{ match: {{ path: {path} }}, respond: {{ status: {status} }} }}");
    let edge = Edge::start(&routes(&respond("/a", 201))).await;
    let mut client = edge.connect().await;
    let mut statuses = async || {
        let mut found = Vec::new();
        for path in ["/a", "/b"] {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            found.push(client.response().await.status);
        }
        found
    };
    assert_eq!(statuses().await, [201, 404]);
    edge.reload(&routes(&format!("{}, {}", respond("/b", 202), respond("/", 203)))).await;
    assert_eq!(statuses().await, [203, 202]);
    edge.reload(&routes(&respond("/b", 204))).await;
    assert_eq!(statuses().await, [404, 204]);
}

#[tokio::test]
async fn whoever_waits_in_line_is_served_by_the_room_that_a_reload_makes() {
    let (endpoint, gate) = Endpoint::held().await;
    let pool = |most: u8| format!("max_requests: {most}, queue: {{ timeout: 20s }},");
    let edge = Edge::start(&site(&marked("old"), &pool(1), &[endpoint.address()])).await;
    let mut served = begun(&edge, &endpoint).await;
    let mut waiting = edge.connect().await;
    waiting.send(GET).await;
    assert!(waiting.is_silent_for(std::time::Duration::from_millis(50)).await);
    edge.reload(&site(&marked("new"), &pool(2), &[endpoint.address()])).await;
    eventually("both are with the endpoint", async || endpoint.requests().len() == 2).await;
    gate.add_permits(2);
    for client in [&mut served, &mut waiting] {
        let response = client.response().await;
        assert_eq!((response.status, response.header("x-mark")), (200, Some("old")));
    }
}

#[tokio::test]
async fn whoever_waits_in_line_is_served_when_the_pool_is_gone() {
    let (endpoint, gate) = Endpoint::held().await;
    let pool = "max_requests: 1, queue: { timeout: 20s },";
    let edge = Edge::start(&site(&marked("old"), pool, &[endpoint.address()])).await;
    let mut served = begun(&edge, &endpoint).await;
    let mut waiting = edge.connect().await;
    waiting.send(GET).await;
    assert!(waiting.is_silent_for(std::time::Duration::from_millis(50)).await);
    edge.reload(NOTHING).await;
    assert_eq!(edge.get("/").await.status, 410);
    gate.add_permits(2);
    for client in [&mut served, &mut waiting] {
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn a_request_between_two_attempts_finds_an_endpoint_that_a_reload_has_brought() {
    let good = Endpoint::answering("good").await;
    let pool = "retry: { on: [5xx], attempts: 1, budget_min: 10 },";
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    // The first attempt fails once the reload is done: what follows is the next attempt.
    let failing = Endpoint::scripted(move |mut exchange: Exchange| {
        let held = held.clone();
        async move {
            held.acquire().await.unwrap().forget();
            exchange.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::start(&site(&marked("old"), pool, &[failing.address()])).await;
    let mut client = begun(&edge, &failing).await;
    edge.reload(&site(&marked("new"), pool, &[good.address()])).await;
    gate.add_permits(1);
    let response = client.response().await;
    assert_eq!((response.status, response.text(), response.header("x-mark")), (200, "good", Some("old")));
}

#[tokio::test]
async fn streams_of_one_connection_have_each_their_configuration() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&site(&marked("old"), "", &[endpoint.address()])).await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = || Request::get("http://example.com/").body(()).unwrap();
    let old = requests.send_request(request(), true).unwrap().0;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    edge.reload(&site(&marked("new"), "", &[endpoint.address()])).await;
    let mut requests = requests.ready().await.unwrap();
    let new = requests.send_request(request(), true).unwrap().0;
    eventually("both are with the endpoint", async || endpoint.requests().len() == 2).await;
    gate.add_permits(2);
    let (old, new) = (old.await.unwrap(), new.await.unwrap());
    assert_eq!(
        (&old.headers()["x-mark"], &new.headers()["x-mark"]),
        (&"old".parse().unwrap(), &"new".parse().unwrap())
    );
    assert!(!connection.is_finished());
    connection.abort();
}

/// Answers with half of the body, and with the rest once it may.
async fn halting() -> (Endpoint, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let held = held.clone();
        async move {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
            held.acquire().await.unwrap().forget();
            exchange.send(" half").await;
            Some(exchange)
        }
    })
    .await;
    (endpoint, gate)
}

#[tokio::test]
async fn a_download_goes_on_when_its_pool_is_gone() {
    let (endpoint, gate) = halting().await;
    let edge = Edge::start(&site("pool: app", "", &[endpoint.address()])).await;
    let mut client = begun(&edge, &endpoint).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.exactly(5).await, b"first");
    edge.reload(NOTHING).await;
    gate.add_permits(1);
    assert_eq!(client.exactly(5).await, b" half");
    client.send(GET).await;
    assert_eq!(client.response().await.status, 410);
}

#[tokio::test]
async fn an_upload_goes_on_when_its_pool_is_gone() {
    // It asks for the body, so that the client knows when the request has begun.
    let endpoint =
        Endpoint::speaking_first("HTTP/1.1 100 Continue\r\n\r\n", |mut exchange: Exchange| async move {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ngot it").await;
            Some(exchange)
        })
        .await;
    let edge = Edge::start(&site("pool: app", "", &[endpoint.address()])).await;
    let mut client = edge.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 100"));
    client.send("first").await;
    edge.reload(NOTHING).await;
    client.send(" half").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text()), (200, "got it"));
    assert_eq!(endpoint.last().body, b"first half");
}

#[tokio::test]
async fn a_tunnel_goes_on_when_its_pool_is_gone() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        let (mut read, mut write) = exchange.stream.split();
        tokio::io::copy(&mut read, &mut write).await.ok();
        None
    })
    .await;
    let edge = Edge::start(&site("pool: app", "", &[endpoint.address()])).await;
    let mut client = edge.connect().await;
    client.send(HANDSHAKE).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    for (config, text) in [
        (None, "before"),
        (Some(NOTHING), "after a reload"),
        (Some(&*site("pool: app", "timeouts: { tunnel: 5s },", &[endpoint.address()])), "and another"),
    ] {
        if let Some(config) = config {
            edge.reload(config).await;
        }
        client.send(text).await;
        assert_eq!(client.exactly(text.len()).await, text.as_bytes());
    }
}
