use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Edge, Endpoint, PATIENCE};

use super::{GET, OK, fleet};

const LONG: Duration = Duration::from_secs(5);

/// An endpoint that answers after so long.
async fn slow(delay: Duration) -> Endpoint {
    Endpoint::scripted(move |mut exchange| async move {
        sleep(delay).await;
        exchange.send(OK).await;
        Some(exchange)
    })
    .await
}

/// Expects a 504 for this cause, long before any other limit.
async fn expect_504(timeouts: &str, endpoint: &Endpoint, cause: &str) {
    let config = fleet(&format!("timeouts: {{ {timeouts} }},"), &[&endpoint.address()]);
    let edge = Edge::start(&config).await;
    let begun = Instant::now();
    let response = edge.send(GET).await;
    assert!(begun.elapsed() < LONG, "{timeouts}: {:?}", begun.elapsed());
    assert_eq!(response.status, 504, "{timeouts}");
    let status = response.header("proxy-status").unwrap();
    assert!(status.contains(&format!("details=\"{cause}\"")), "{timeouts}: {status}");
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["status"], &line["cause"]), (&504.into(), &cause.into()), "{timeouts}");
}

#[tokio::test]
async fn the_first_byte_has_its_limit_whatever_the_others_are() {
    let endpoint = slow(Duration::from_secs(3600)).await;
    for idle in ["200ms", "100ms", "30s"] {
        let timeouts = format!("first_byte: 200ms, idle: {idle}");
        expect_504(&timeouts, &endpoint, "response_timeout").await;
    }
}

#[tokio::test]
async fn the_total_ends_the_wait_for_an_answer() {
    let endpoint = slow(Duration::from_secs(3600)).await;
    expect_504("total: 200ms", &endpoint, "total_timeout").await;
    expect_504("total: 200ms, first_byte: 10s, idle: 20s", &endpoint, "total_timeout").await;
}

#[tokio::test]
async fn an_answer_within_the_limits_is_whole() {
    let endpoint = slow(Duration::from_millis(300)).await;
    for timeouts in ["first_byte: 10s, idle: 100ms", "total: 10s", "total: 0s", "first_byte: 10s, idle: 10s"]
    {
        let config = fleet(&format!("timeouts: {{ {timeouts} }},"), &[&endpoint.address()]);
        assert_eq!(Edge::start(&config).await.send(GET).await.status, 200, "{timeouts}");
    }
}

/// A socket that listens and whose queue of connections is full, so that the kernel answers nobody any more.
async fn deaf() -> (socket2::Socket, std::net::SocketAddr, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
    }
    (socket, address, waiting)
}

#[tokio::test]
async fn a_connection_has_its_limit() {
    let (_socket, address, _waiting) = deaf().await;
    let edge = Edge::start(&fleet("timeouts: { connect: 200ms },", &[&address])).await;
    let begun = Instant::now();
    let response = edge.send(GET).await;
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    assert_eq!(response.status, 504);
    assert!(response.header("proxy-status").unwrap().contains("connect_timeout"));
    assert_eq!(edge.log_of(1).await[0]["cause"], "connect_timeout");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_connected_to_in_time_is_passed_over() {
    let (_socket, address, _waiting) = deaf().await;
    let good = Endpoint::answering("good").await;
    let config = fleet("balance: round_robin, timeouts: { connect: 200ms },", &[&address, &good.address()]);
    let edge = Edge::start(&config).await;
    for _ in 0..4 {
        assert_eq!(edge.send(GET).await.status, 200);
    }
    assert!(edge.log_of(4).await.iter().any(|line| line["attempts"] == 2));
}

#[tokio::test]
async fn an_upload_that_takes_longer_than_the_first_byte_may_is_no_silence() {
    let endpoint = Endpoint::answering("got it").await;
    for timeouts in ["first_byte: 400ms, idle: 400ms", "first_byte: 400ms, idle: 30s"] {
        let config = fleet(&format!("timeouts: {{ {timeouts} }},"), &[&endpoint.address()]);
        let edge = Edge::start(&config).await;
        let mut client = edge.connect().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").await;
        for _ in 0..10 {
            sleep(Duration::from_millis(80)).await;
            client.send("x").await;
        }
        assert_eq!(client.response().await.status, 200, "{timeouts}");
    }
}

#[tokio::test]
async fn a_slow_upload_uses_up_the_total() {
    let endpoint = Endpoint::answering("late").await;
    let edge = Edge::start(&fleet("timeouts: { total: 300ms },", &[&endpoint.address()])).await;
    let mut client = edge.connect().await;
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    let begun = Instant::now();
    while client.try_send("drip").await.is_ok() && begun.elapsed() < PATIENCE {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(String::from_utf8(client.rest().await).unwrap().starts_with("HTTP/1.1 504 "));
    assert_eq!(edge.log_of(1).await[0]["cause"], "total_timeout");
}
