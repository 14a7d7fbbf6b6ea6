//! Answers that come before the end of their requests, over HTTP/2.

use std::fmt::Display;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, SendStream};
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, timeout};

use evener::app::App;

use crate::support::{Edge, H2Endpoint, H2Exchange, PATIENCE, Spy};

use super::fleet;

/// How long `timeouts.idle` is, after which everything would end anyway.
const IDLE: Duration = Duration::from_secs(30);

async fn h2_client(edge: &Edge) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// Begins a request and reads its whole answer; what the rest of the request could be sent on.
async fn answered(client: &SendRequest<Bytes>) -> Result<SendStream<Bytes>, h2::Error> {
    let mut client = client.clone().ready().await?;
    let request = Request::post("http://example.com/").body(()).unwrap();
    let (answer, stream) = client.send_request(request, false)?;
    let answer = timeout(PATIENCE, answer).await.expect("is answered in time")?;
    assert_eq!(answer.status(), 401);
    let mut body = answer.into_body();
    while let Some(piece) = timeout(PATIENCE, body.data()).await.expect("goes on in time") {
        piece?;
    }
    Ok(stream)
}

/// An endpoint of HTTP/1 that answers so at once and reads nothing further.
async fn hasty(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            open.push(stream);
        }
    });
    address
}

const REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
const BARE_REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

async fn hasty_h2() -> H2Endpoint {
    H2Endpoint::scripted(|mut exchange: H2Exchange| async move {
        exchange.reply(401, "no");
        std::future::pending::<()>().await;
    })
    .await
}

/// Sends as much as is taken.
async fn upload(mut stream: SendStream<Bytes>) {
    stream.reserve_capacity(16 * 1024);
    while let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
        let _ = stream.send_data(Bytes::from(vec![0; room]), false);
        stream.reserve_capacity(16 * 1024);
    }
}

#[tokio::test]
async fn an_upload_that_nobody_reads_ends_soon_after_its_answer() {
    let (refusing, bare, second) = (hasty(REFUSAL).await, hasty(BARE_REFUSAL).await, hasty_h2().await);
    let endpoints: [(&str, &dyn Display); 3] =
        [("", &refusing), ("", &bare), ("protocol: h2c, timeouts: { idle: 1h },", &second.address())];
    for (pool, endpoint) in endpoints {
        let edge = Edge::start(&fleet(pool, &[endpoint])).await;
        let begun = Instant::now();
        let stream = answered(&h2_client(&edge).await).await.unwrap();
        timeout(PATIENCE, upload(stream)).await.expect("the upload is broken off");
        let line = edge.log_of(1).await.remove(0);
        assert_eq!((&line["status"], line.get("cause")), (&401.into(), None));
        assert!(begun.elapsed() < IDLE);
    }
}

/// Whatever the endpoint speaks: the client has its answer, says nothing more, and does not leave.
#[tokio::test]
async fn a_request_that_never_ends_ends_soon_after_its_answer() {
    let second = hasty_h2().await;
    let first = hasty(REFUSAL).await;
    for config in [fleet("", &[&first]), fleet("protocol: h2c,", &[&second.address()])] {
        let edge = Edge::start(&config).await;
        let client = h2_client(&edge).await;
        let mut stream = answered(&client).await.unwrap();
        let reset = timeout(PATIENCE, std::future::poll_fn(|cx| stream.poll_reset(cx))).await;
        assert_eq!(reset.expect("is reset in time").unwrap(), Reason::NO_ERROR);
        let line = edge.log_of(1).await.remove(0);
        assert_eq!((&line["status"], line.get("cause")), (&401.into(), None));
        answered(&client).await.unwrap();
    }
}

/// Pingora looks at the endpoint alone while that takes nothing.
#[tokio::test]
async fn a_client_that_leaves_while_nobody_reads_is_noticed() {
    let second = H2Endpoint::scripted(|exchange: H2Exchange| async move {
        std::future::pending::<()>().await;
        drop(exchange);
    })
    .await;
    let first = hasty("").await;
    let endpoints: [(&str, &dyn Display); 2] = [("", &first), ("protocol: h2c,", &second.address())];
    for (pool, endpoint) in endpoints {
        let spy = Spy::default();
        let pool = format!("{pool} balance: spy, timeouts: {{ idle: 1h, first_byte: 1h, tunnel: 1h }},");
        let edge = Edge::start_with(spy.register(App::builder()), &fleet(&pool, &[endpoint])).await;
        let mut client = h2_client(&edge).await;
        let request = Request::post("http://example.com/up?x").header("user-agent", "peer").body(());
        let (_answer, mut stream) = client.send_request(request.unwrap(), false).unwrap();
        let mut sent = 0;
        while let Some(room) = room_within(&mut stream, Duration::from_millis(500)).await {
            stream.send_data(Bytes::from(vec![0; room]), false).unwrap();
            sent += room;
        }
        stream.send_reset(Reason::CANCEL);
        let line = edge.log_of(1).await.remove(0);
        assert_eq!((&line["status"], &line["cause"]), (&499.into(), &"client_gone".into()));
        assert_eq!((&line["method"], &line["target"]), (&"POST".into(), &"/up?x".into()));
        assert_eq!((&line["endpoint"], &line["user_agent"]), (&endpoint.to_string().into(), &"peer".into()));
        assert!((1..=sent as u64).contains(&line["bytes_in"].as_u64().unwrap()), "{sent} {line}");
        spy.has_in_flight(0).await;
    }
}

/// For how many bytes there is room within so long; `None` where there is none.
async fn room_within(stream: &mut SendStream<Bytes>, limit: Duration) -> Option<usize> {
    stream.reserve_capacity(16 * 1024);
    let room = timeout(limit, std::future::poll_fn(|cx| stream.poll_capacity(cx))).await;
    room.ok().map(|room| room.expect("the stream stays").unwrap())
}

#[tokio::test]
async fn an_endpoint_that_has_answered_has_nothing_in_flight() {
    let second = hasty_h2().await;
    let first = hasty(REFUSAL).await;
    let endpoints: [(&str, &dyn Display); 2] = [("", &first), ("protocol: h2c,", &second.address())];
    for (pool, endpoint) in endpoints {
        let spy = Spy::default();
        let edge = Edge::start_with(
            spy.register(App::builder()),
            &fleet(&format!("{pool} balance: spy,"), &[endpoint]),
        )
        .await;
        let stream = answered(&h2_client(&edge).await).await.unwrap();
        spy.has_in_flight(0).await;
        drop(stream);
        let line = edge.log_of(1).await.remove(0);
        assert_eq!(line["endpoint"], endpoint.to_string());
    }
}

/// As clients of gRPC do with every stream that its server ends first.
#[tokio::test]
async fn requests_may_be_broken_off_once_they_are_answered() {
    let endpoint = hasty_h2().await;
    let edge = Edge::start(&fleet("protocol: h2c,", &[&endpoint.address()])).await;
    let client = h2_client(&edge).await;
    for number in 0..600 {
        let stream = answered(&client).await;
        stream.unwrap_or_else(|error| panic!("{number}: {error}")).send_reset(Reason::NO_ERROR);
    }
}
