use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{Sender, channel};

use crate::support::{Edge, Endpoint, Exchange};

use super::{GET, site};

/// An endpoint that sends these texts as they are told to it, and then closes.
async fn told() -> (Endpoint, Sender<String>) {
    let (tell, texts) = channel::<String>(16);
    let texts = Arc::new(Mutex::new(texts));
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let texts = texts.clone();
        async move {
            while let Some(text) = texts.lock().await.recv().await {
                exchange.send(text).await;
            }
            None
        }
    })
    .await;
    (endpoint, tell)
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (endpoint, tell) = told().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    tell.try_send(head.to_owned()).unwrap();
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    for number in 0..10 {
        let event = format!("data: {number}\n\n");
        tell.try_send(format!("{:x}\r\n{event}\r\n", event.len())).unwrap();
        let size = client.until(b"\r\n").await;
        assert_eq!(
            usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).unwrap(),
            event.len()
        );
        assert_eq!(client.exactly(event.len() + 2).await, format!("{event}\r\n").into_bytes());
    }
    tell.try_send("0\r\n\r\n".to_owned()).unwrap();
    assert_eq!(client.until(b"0\r\n\r\n").await, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_body_without_a_length_arrives_as_it_comes() {
    let (endpoint, tell) = told().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    tell.try_send("HTTP/1.1 200 OK\r\n\r\n".to_owned()).unwrap();
    client.head().await;
    for _ in 0..3 {
        tell.try_send("piece".to_owned()).unwrap();
        assert_eq!(client.exactly(5).await, b"piece");
    }
    drop(tell);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_body_with_a_length_arrives_as_it_comes() {
    let (endpoint, tell) = told().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    client.send(GET).await;
    tell.try_send("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n".to_owned()).unwrap();
    client.head().await;
    for _ in 0..3 {
        tell.try_send("piece".to_owned()).unwrap();
        assert_eq!(client.exactly(5).await, b"piece");
    }
}

#[tokio::test]
async fn a_body_reaches_the_endpoint_as_it_comes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = Edge::start(&site(listener.local_addr().unwrap(), "")).await;
    let mut client = edge.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut endpoint = crate::support::Client::over(listener.accept().await.unwrap().0);
    endpoint.head().await;
    for _ in 0..3 {
        client.send("5\r\npiece\r\n").await;
        assert_eq!(endpoint.exactly(10).await, b"5\r\npiece\r\n");
    }
    // The answer may come before the end of the request.
    endpoint.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
    client.head().await;
    assert_eq!(client.exactly(7).await, b"2\r\nhi\r\n");
    client.send("0\r\n\r\n").await;
    assert_eq!(endpoint.exactly(5).await, b"0\r\n\r\n");
}
