use std::future::poll_fn;

use tokio::time::timeout;

use crate::support::raw_h2::{self, DATA, END_STREAM, HEADERS, RST_STREAM, RawH2};
use crate::support::{Edge, Endpoint, Exchange, PATIENCE};

use super::{GET, site};

async fn hinting() -> Endpoint {
    Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n").await;
        exchange.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        Some(exchange)
    })
    .await
}

#[tokio::test]
async fn informational_answers_pass_to_http11() {
    let endpoint = hinting().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send(GET).await;
        let hints = client.response().await;
        assert_eq!((hints.status, hints.header("link")), (103, Some("</a.css>; rel=preload")));
        assert_eq!(client.response().await.status, 100);
        assert_eq!(client.response().await.text(), "ok");
    }
}

#[tokio::test]
async fn informational_answers_do_not_pass_to_http10() {
    let endpoint = hinting().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let response = edge.send(&format!("GET / HTTP/1.0\r\nHost: a\r\n{expect}\r\n")).await;
        assert_eq!(response.status, 200, "{expect}");
    }
}

#[tokio::test]
async fn hints_come_before_the_answer_is_ready() {
    let (release, held) = tokio::sync::watch::channel(false);
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let mut held = held.clone();
        async move {
            exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").await;
            held.wait_for(|released| *released).await.unwrap();
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    assert_eq!(client.response().await.status, 103);
    release.send(true).unwrap();
    assert_eq!(client.response().await.text(), "ok");
}

#[tokio::test]
async fn informational_answers_pass_to_http2() {
    let endpoint = hinting().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let stream = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..2 {
        let request = http::Request::get("http://a/").body(()).unwrap();
        let (mut answer, _) = requests.send_request(request, true).unwrap();
        let mut interim = Vec::new();
        for _ in 0..2 {
            let next = timeout(PATIENCE, poll_fn(|cx| answer.poll_informational(cx))).await;
            let head = next.expect("comes in time").expect("is one more").unwrap();
            interim.push((head.status().as_u16(), head.headers().get("link").cloned()));
        }
        assert_eq!(interim, [(103, Some("</a.css>; rel=preload".parse().unwrap())), (100, None)]);
        let answer = timeout(PATIENCE, answer).await.expect("is answered in time").unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().get("link")), (200, None));
        let mut body = answer.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "ok");
    }
    connection.abort();
}

#[tokio::test]
async fn no_client_gets_more_than_so_many() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        for _ in 0..17 {
            exchange.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        }
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        Some(exchange)
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = RawH2::connect(&edge).await;
    client.send(raw_h2::get(1)).await;
    let mut heads = 0;
    loop {
        let frame = client.next().await.expect("the stream ends first");
        heads += usize::from(frame.kind == HEADERS);
        let is_last = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
        if is_last || frame.kind == RST_STREAM {
            break;
        }
    }
    assert!(heads <= 17, "16 of them, and the head of the failure");
    assert_eq!(edge.log_of(1).await[0]["cause"], "upstream_invalid");
}
