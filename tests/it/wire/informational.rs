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
async fn hints_do_not_pass_to_http2_and_do_no_harm() {
    let endpoint = hinting().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let stream = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::get("http://a/").body(()).unwrap();
        let (answer, _) = requests.send_request(request, true).unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("is answered in time").unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().get("link")), (200, None));
        let mut body = answer.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "ok");
    }
    connection.abort();
}
