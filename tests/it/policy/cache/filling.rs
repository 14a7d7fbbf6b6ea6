//! How answers get into the cache: whole, and in nobody's way.

use super::collapsing::held;
use super::{ask, counting, did, edge, with};
use crate::support::{Client, Edge, Response, eventually};

async fn asking(edge: &Edge, fields: &str, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = edge.connect().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await;
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn who_wants_less_than_the_whole_gets_what_the_endpoint_has_for_it() {
    for fields in [
        "Range: bytes=0-0\r\n",
        "Range: bytes=2-\r\nIf-Range: \"a\"\r\n",
        "If-None-Match: \"a\"\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    ] {
        let endpoint = counting("Cache-Control: max-age=60\r\nETag: \"a\"\r\n").await;
        let edge = edge(&endpoint, "").await;
        let first = ask(&edge, fields).await;
        assert_eq!((first.status, did(&first)), (200, "evener; fwd=uri-miss"), "{fields}");
        let name = fields.split(':').next().unwrap().to_lowercase();
        assert!(endpoint.last().header(&name).is_some(), "{}", endpoint.last().head);
        let second = edge.get("/").await;
        assert_eq!((second.text(), did(&second)), ("answer 2", "evener; fwd=uri-miss; stored"), "{fields}");
        assert_eq!(edge.get("/").await.text(), "answer 2");
    }
}

#[tokio::test]
async fn what_takes_the_place_of_an_old_answer_is_given_whole() {
    for fields in ["Range: bytes=0-0\r\n", "If-None-Match: \"a\"\r\n"] {
        let endpoint = with(|_, number| match number {
            1 => "Cache-Control: max-age=1\r\nAge: 10\r\nETag: \"a\"\r\n".to_owned(),
            _ => "Cache-Control: max-age=60\r\nETag: \"a\"\r\n".to_owned(),
        })
        .await;
        let edge = edge(&endpoint, "").await;
        edge.get("/").await;
        let second = ask(&edge, fields).await;
        assert_eq!((second.status, second.text()), (200, "answer 2"), "{fields}");
        assert_eq!(did(&second), "evener; fwd=stale; stored");
        let third = edge.get("/").await;
        assert_eq!(third.text(), "answer 2", "{fields}");
        assert!(did(&third).starts_with("evener; hit"), "{}", did(&third));
        // Of what is stored parts are given.
        assert!(matches!(ask(&edge, fields).await.status, 206 | 304));
    }
}

#[tokio::test]
async fn nobody_waits_for_what_is_for_another_alone() {
    for fields in ["Authorization: Bearer a\r\n", "Cache-Control: no-store\r\n"] {
        let (endpoint, gate) = held("Cache-Control: max-age=60\r\n").await;
        let edge = edge(&endpoint, "").await;
        let clients = asking(&edge, fields, 5).await;
        eventually("all ask", async || endpoint.requests().len() == 5).await;
        gate.add_permits(5);
        for mut client in clients {
            assert_eq!(client.response().await.text(), "ok");
        }
    }
}

#[tokio::test]
async fn what_is_asked_for_before_a_removal_is_not_stored_after_it() {
    let (endpoint, gate) = held("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    let mut clients = asking(&edge, "", 1).await;
    eventually("it is asked for", async || endpoint.requests().len() == 1).await;
    edge.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n").await;
    gate.add_permits(2);
    assert_eq!(clients[0].response().await.text(), "ok");
    let next = edge.get("/").await;
    assert!(did(&next).ends_with("fwd=uri-miss; stored"), "{}", did(&next));
    assert_eq!(endpoint.requests().len(), 3);
}

#[tokio::test]
async fn an_old_answer_stands_in_for_a_head_too() {
    async fn head(edge: &Edge) -> Response {
        let mut client = edge.connect().await;
        client.send("HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
        client.response_to_head().await
    }
    let endpoint = with(|request, _| {
        assert!(request.line().starts_with("GET "));
        "Cache-Control: max-age=1, stale-if-error=600\r\nAge: 10\r\nX-A: 1\r\n".to_owned()
    })
    .await;
    let edge = edge(&endpoint, "").await;
    edge.get("/").await;
    drop(endpoint);
    for _ in 0..2 {
        let stale = head(&edge).await;
        assert_eq!((stale.status, stale.header("x-a")), (200, Some("1")), "{}", stale.head);
        assert_eq!(did(&stale), "evener; fwd=stale");
        assert!(stale.header("age").is_some());
    }
    let log = edge.log_of(3).await;
    assert_eq!((&log[1]["cache"], log[1].get("cause")), (&"stale".into(), None));
}
