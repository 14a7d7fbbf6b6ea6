//! What passes between the edge and endpoints is counted for both the pool and the endpoint.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::support::{Client, Edge, Endpoint, eventually};

use super::{Scrape, comes_to, config, pool};

const MEBIBYTE: usize = 1 << 20;

fn of(family: &str, endpoint: impl std::fmt::Display) -> String {
    format!("evener_endpoint_{family}_bytes_total{{pool=\"app\",endpoint=\"{endpoint}\"}}")
}

/// A body is counted for each endpoint that it was sent to.
#[tokio::test]
async fn what_is_sent_again_is_counted_again() {
    let bad = Endpoint::with(|_| "HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nbad".to_owned()).await;
    let good = Endpoint::with(|_| "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood".to_owned()).await;
    let keys = "balance: first, retry: { on: ['503'] },";
    let pools = pool("app", keys, &[bad.address(), good.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    let request = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n123456";
    assert_eq!(edge.send(request).await.text(), "good");
    comes_to(
        &edge,
        &[
            (&of("sent", bad.address()), 6.0),
            (&of("sent", good.address()), 6.0),
            (&of("received", good.address()), 4.0),
            ("evener_pool_sent_bytes_total{pool=\"app\"}", 12.0),
            ("evener_pool_picks_total{pool=\"app\"}", 2.0),
            ("evener_http_request_body_bytes_total{route=\"api\"}", 6.0),
        ],
    )
    .await;
}

/// The endpoint answers at once, and takes the rest nevertheless.
#[tokio::test]
async fn what_is_sent_after_an_early_answer_is_counted() {
    const LENGTH: usize = 600_000;
    let early = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let endpoint = Endpoint::speaking_first(early, |mut exchange| async move {
        let mut rest = vec![0; LENGTH - exchange.ahead.len()];
        exchange.stream.read_exact(&mut rest).await.ok()?;
        std::future::pending().await
    })
    .await;
    let pools = pool("app", "", &[endpoint.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    let mut client = edge.connect().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    assert_eq!(client.response().await.text(), "ok");
    client.send(vec![b'x'; LENGTH]).await;
    comes_to(
        &edge,
        &[
            (&of("sent", endpoint.address()), LENGTH as f64),
            ("evener_pool_sent_bytes_total{pool=\"app\"}", LENGTH as f64),
            ("evener_http_request_body_bytes_total{route=\"api\"}", LENGTH as f64),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_copy_that_nobody_answers_was_sent() {
    let (app, shadow) = (Endpoint::answering("ok").await, Endpoint::silent().await);
    let pools = format!("{}, {}", pool("app", "", &[app.address()]), pool("shadow", "", &[shadow.address()]));
    let mirror = "mirror: { pool: shadow, methods: [POST], max_body: 4KiB, timeout: 100ms }";
    let edge = Edge::start(&config(&pools, &format!("{{ pool: app, filters: [{mirror}] }}"))).await;
    let body = "x".repeat(3000);
    edge.send(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n{body}")).await;
    comes_to(
        &edge,
        &[
            ("evener_pool_picks_total{pool=\"shadow\"}", 1.0),
            ("evener_pool_in_flight{pool=\"shadow\"}", 0.0),
            ("evener_pool_sent_bytes_total{pool=\"shadow\"}", 3000.0),
        ],
    )
    .await;
}

/// An upgraded connection may last for days.
#[tokio::test]
async fn a_tunnel_is_counted_while_it_lasts() {
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        exchange
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        exchange.send(vec![b'x'; MEBIBYTE]).await;
        std::future::pending::<()>().await;
        None
    })
    .await;
    let pools = pool("app", "", &[endpoint.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    client.until(b"\r\n\r\n").await;
    client.exactly(MEBIBYTE).await;
    eventually("it is counted", async || {
        Scrape::of(&edge).await.value(&of("received", endpoint.address())) > 0.9 * MEBIBYTE as f64
    })
    .await;
    assert_eq!(Scrape::of(&edge).await.sum("evener_http_response_body_bytes_total{route=\"api\"}"), 0.0);
}

#[tokio::test]
async fn tcp_is_counted_while_it_lasts_and_to_the_last_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let text = format!(
        "listeners: {{ db: {{ bind: 127.0.0.1:0, tcp: {{ pool: app }} }} }}
admin: {{ bind: 127.0.0.1:0 }}
pools: {{ {} }}
",
        pool("app", "", &[address])
    );
    let edge = Edge::start(&text).await;
    let mut client = Client::connect(edge.address()).await;
    let (mut endpoint, _) = listener.accept().await.unwrap();
    client.send(vec![b'q'; MEBIBYTE]).await;
    endpoint.read_exact(&mut vec![0; MEBIBYTE]).await.unwrap();
    eventually("it is counted", async || {
        Scrape::of(&edge).await.value(&of("sent", address)) > 0.9 * MEBIBYTE as f64
    })
    .await;
    endpoint.write_all(b"three").await.unwrap();
    client.exactly(5).await;
    drop((client, endpoint));
    comes_to(
        &edge,
        &[
            (&of("sent", address), MEBIBYTE as f64),
            (&of("received", address), 5.0),
            ("evener_pool_received_bytes_total{pool=\"app\"}", 5.0),
            ("evener_pool_connections_total{pool=\"app\"}", 1.0),
            ("evener_pool_picks_total{pool=\"app\"}", 1.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn datagrams_are_counted_with_their_flow() {
    let endpoint = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = endpoint.local_addr().unwrap();
    let text = format!(
        "listeners: {{ dns: {{ bind: 127.0.0.1:0, udp: {{ pool: app, responses: 1 }} }} }}
admin: {{ bind: 127.0.0.1:0 }}
pools: {{ {} }}
",
        pool("app", "", &[address])
    );
    let edge = Edge::start(&text).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"question", edge.address()).await.unwrap();
    let mut buffer = [0; 64];
    let (length, from) = endpoint.recv_from(&mut buffer).await.unwrap();
    assert_eq!(length, 8);
    endpoint.send_to(b"an answer", from).await.unwrap();
    client.recv(&mut buffer).await.unwrap();
    comes_to(&edge, &[(&of("sent", address), 8.0), (&of("received", address), 9.0)]).await;
}
