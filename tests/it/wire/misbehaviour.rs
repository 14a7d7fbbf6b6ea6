use crate::support::{Edge, Endpoint, Exchange, dead};

use super::{GET, site};

/// An endpoint that sends this and closes.
async fn saying(text: &'static str) -> (Endpoint, Edge) {
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| async move {
        exchange.send(text).await;
        None
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    (endpoint, edge)
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_bad_gateway() {
    let texts = [
        "secret garbage\r\n\r\n",
        "\0\x01\x02secret",
        "HTTP/1.1 secret\r\n\r\n",
        "HTTP/1.1 99999 OK\r\n\r\nsecret",
        "HTTP/1.1 200 OK\r\nsecret without colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nsecret",
    ];
    for text in texts {
        let (_endpoint, edge) = saying(text).await;
        let response = edge.send(GET).await;
        assert_eq!(response.status, 502, "{text:?}");
        let status = response.header("proxy-status").unwrap();
        assert!(status.starts_with("evener; error="), "{status}");
        assert!(!response.text().contains("secret") && !response.head.contains("secret"));
        let line = edge.log_of(1).await.remove(0);
        assert_eq!(line["status"], 502, "{text:?}");
        assert!(["upstream_invalid", "upstream_closed"].contains(&line["cause"].as_str().unwrap()), "{line}");
    }
}

#[tokio::test]
async fn an_endpoint_that_closes_instead_of_answering_is_a_bad_gateway() {
    for text in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let (endpoint, edge) = saying(text).await;
        let response = edge.send(GET).await;
        assert_eq!(response.status, 502, "{text:?}");
        assert!(
            response.header("proxy-status").unwrap().contains("connection_terminated"),
            "{}",
            response.head
        );
        let line = edge.log_of(1).await.remove(0);
        assert_eq!(line["cause"], "upstream_closed");
        assert_eq!(line["attempts"], 1);
        assert_eq!(endpoint.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let bodies = ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"];
    for body in bodies {
        let text: &'static str = format!("HTTP/1.1 200 OK\r\n{body}").leak();
        let (_endpoint, edge) = saying(text).await;
        let mut client = edge.connect().await;
        client.send(GET).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert!(rest.contains("half") && !rest.contains("0\r\n\r\n"), "{rest:?}");
        let line = edge.log_of(1).await.remove(0);
        assert_eq!((&line["status"], &line["cause"]), (&200.into(), &"upstream_closed".into()));
    }
}

#[tokio::test]
async fn an_answer_with_broken_chunks_does_not_look_whole() {
    let (_endpoint, edge) =
        saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n0\r\n\r\n").await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    client.head().await;
    let rest = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", rest.escape_ascii());
    assert_eq!(edge.log_of(1).await[0]["cause"], "upstream_invalid");
}

#[tokio::test]
async fn what_follows_an_answer_is_nobodys_answer() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmineHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
            .to_owned()
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..10 {
        client.send(GET).await;
        assert_eq!(client.response().await.text(), "mine");
        assert_eq!(edge.send(GET).await.text(), "mine");
    }
    assert_eq!(endpoint.requests().len(), 20);
}

#[tokio::test]
async fn a_body_after_a_head_request_is_nobodys_answer() {
    let endpoint = Endpoint::with(|_| "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody".to_owned()).await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..5 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        client.send(GET).await;
        assert_eq!(client.response().await.text(), "body");
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_failure_that_involved_no_endpoint() {
    let edge = Edge::start(&super::site_with(
        "127.0.0.1:1",
        "",
        "",
        "- { match: { path: /here }, respond: { body: ok } }",
    ))
    .await;
    let mut client = edge.connect().await;
    for _ in 0..3 {
        client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 404);
    }
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_at_is_a_bad_gateway() {
    let edge = Edge::start(&site(dead().await, "")).await;
    let response = edge.send(GET).await;
    assert_eq!(response.status, 502);
    assert!(response.header("proxy-status").unwrap().contains("connection_refused"));
    assert!(!response.text().contains("127.0.0.1"));
    assert_eq!(edge.log_of(1).await[0]["cause"], "connect_failed");
}

#[tokio::test]
async fn a_body_where_none_may_be_is_nobodys_answer() {
    for status in ["204 No Content", "304 Not Modified"] {
        let endpoint = Endpoint::with(move |request| match request.path() {
            "/none" => format!("HTTP/1.1 {status}\r\nContent-Length: 6\r\n\r\npoison"),
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine".to_owned(),
        })
        .await;
        let edge = Edge::start(&site(endpoint.address(), "")).await;
        let mut client = edge.connect().await;
        for _ in 0..5 {
            client.send("GET /none HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.response().await.status.to_string(), status[..3]);
            client.send(GET).await;
            assert_eq!(client.response().await.text(), "mine");
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_arrives_whole() {
    for version in ["1.0", "1.1"] {
        let text: &'static str = format!("HTTP/{version} 200 OK\r\n\r\nall of it").leak();
        let (endpoint, edge) = saying(text).await;
        for _ in 0..2 {
            let mut client = edge.connect().await;
            client.send(GET).await;
            let response = client.response().await;
            assert!(response.head.starts_with("HTTP/1.1 200"), "{}", response.head);
            assert_eq!(response.text(), "all of it", "{version}");
        }
        assert_eq!(endpoint.requests().len(), 2);
    }
}

#[tokio::test]
async fn an_endpoint_may_speak_http10() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        None
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..5 {
        client.send(GET).await;
        let response = client.response().await;
        assert_eq!((response.status, response.text()), (200, "ok"));
        assert!(response.head.starts_with("HTTP/1.1"), "{}", response.head);
    }
}
