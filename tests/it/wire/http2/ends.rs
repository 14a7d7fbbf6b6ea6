use bytes::Bytes;
use http::Request;
use tokio::time::timeout;

use crate::support::{Edge, Endpoint, Exchange, PATIENCE, eventually};
use crate::wire::{GET, echo, echo_site, site};

use super::{H2, read};

#[tokio::test]
async fn a_drain_says_goodbye_and_waits_for_what_runs() {
    let (release, held) = tokio::sync::watch::channel(false);
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let mut held = held.clone();
        async move {
            held.wait_for(|released| *released).await.unwrap();
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let client = H2::connect(&edge).await;
    let answer = client.start(Request::get("http://a/"), "").await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    let stopped = tokio::spawn(edge.stop());
    eventually("new requests are refused", async || {
        let Ok(Ok(mut requests)) = timeout(PATIENCE, client.requests.clone().ready()).await else {
            return true;
        };
        requests.send_request(Request::get("http://a/").body(()).unwrap(), true).is_err()
    })
    .await;
    assert!(!stopped.is_finished());
    release.send(true).unwrap();
    assert_eq!(read(answer).await.body(), "late");
    timeout(PATIENCE, stopped).await.expect("the edge ends").unwrap();
    timeout(PATIENCE, client.connection).await.expect("the connection ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_does_not_wait_for_connections_at_rest() {
    let (_endpoint, edge) = echo_site("").await;
    let client = H2::connect(&edge).await;
    assert_eq!(client.get("/").await.status(), 200);
    let mut plain = edge.connect().await;
    plain.send(GET).await;
    assert_eq!(plain.response().await.status, 200);
    timeout(PATIENCE, edge.stop()).await.expect("the edge ends");
    assert!(plain.is_closed().await);
    timeout(PATIENCE, client.connection).await.expect("the connection ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_at_rest_ends() {
    let (_endpoint, edge) = echo_site("limits: { keepalive: { idle: 100ms } }").await;
    let client = H2::connect(&edge).await;
    assert_eq!(client.get("/").await.status(), 200);
    let ended = timeout(PATIENCE, client.connection).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn an_old_connection_ends_gracefully() {
    let (_endpoint, edge) = echo_site("limits: { keepalive: { age: 100ms } }").await;
    let client = H2::connect(&edge).await;
    assert_eq!(client.get("/").await.status(), 200);
    timeout(PATIENCE, client.connection).await.expect("the connection ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_resets_a_request_is_logged_as_gone() {
    let endpoint = Endpoint::silent().await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let client = H2::connect(&edge).await;
    let answer = client.start(Request::get("http://a/"), "").await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    drop(answer);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["cause"]), (&499.into(), &"client_gone".into()));
}

#[tokio::test]
async fn a_body_that_stalls_is_cut_off() {
    let endpoint = echo().await;
    let edge = Edge::start(&site(endpoint.address(), "limits: { body: { idle: 200ms } }")).await;
    let client = H2::connect(&edge).await;
    let mut requests = client.requests.clone().ready().await.unwrap();
    let request = Request::post("http://a/").body(()).unwrap();
    let (answer, mut stream) = requests.send_request(request, false).unwrap();
    stream.send_data(Bytes::from_static(b"half"), false).unwrap();
    let answer = timeout(PATIENCE, answer).await.expect("is answered in time").unwrap();
    assert_eq!(answer.status(), 408);
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
        exchange.send(vec![b'x'; 1_000_000]).await;
        Some(exchange)
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "limits: { send_idle: 200ms }")).await;
    let client = H2::connect(&edge).await;
    let answer = client.start(Request::get("http://a/"), "").await;
    // The body is never read, so that the window of the stream stays shut.
    let answer = timeout(PATIENCE, answer).await.expect("is answered in time").unwrap();
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["cause"]), (&200.into(), &"client_gone".into()));
    drop(answer);
}
