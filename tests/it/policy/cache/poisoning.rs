use std::sync::atomic::{AtomicUsize, Ordering};

use super::{ask, counting, did, edge};
use crate::support::{Endpoint, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[tokio::test]
async fn what_is_for_one_client_is_never_given_to_another() {
    for fields in [
        "Set-Cookie: id=1\r\nCache-Control: max-age=60, public\r\n",
        "Cache-Control: private, max-age=60\r\n",
        "Cache-Control: no-store, max-age=60\r\n",
        "Cache-Control: max-age=60\r\nVary: *\r\n",
        "Cache-Control: max-age=60\r\nVary: Accept\r\nVary: *\r\n",
        "Cache-Control: max-age=60\r\nCDN-Cache-Control: no-store\r\n",
    ] {
        let endpoint = counting(fields).await;
        let edge = edge(&endpoint, "ttl: { 200: 1h }").await;
        for expected in ["answer 1", "answer 2", "answer 3"] {
            assert_eq!(edge.get("/").await.text(), expected, "{fields}");
        }
    }
}

#[tokio::test]
async fn answers_to_credentials_are_not_stored_unless_they_are_for_all() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    let own = "Authorization: Basic YTpi\r\n";
    assert_eq!(ask(&edge, own).await.text(), "answer 1");
    assert_eq!(ask(&edge, own).await.text(), "answer 2");
    assert_eq!(edge.get("/").await.text(), "answer 3");
    let public = counting("Cache-Control: max-age=60, public\r\n").await;
    let edge = super::edge(&public, "").await;
    assert_eq!(ask(&edge, own).await.text(), "answer 1");
    assert_eq!(edge.get("/").await.text(), "answer 1");
}

/// What an endpoint may heed, though the key of what is stored does not know of it.
#[tokio::test]
async fn nothing_that_a_client_makes_up_changes_what_others_get() {
    let endpoint = Endpoint::with(|request| {
        let heeded = [
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-original-url",
            "x-rewrite-url",
            "x-host",
            "forwarded",
        ];
        let said: Vec<_> = heeded.iter().map(|name| request.headers(name).join("+")).collect();
        let method = request.header("x-http-method-override").unwrap_or("none");
        let body =
            format!("{} {} {} {method}", request.header("host").unwrap(), request.path(), said.join("|"));
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nCache-Control: max-age=60\r\n\r\n{body}",
            body.len()
        )
    })
    .await;
    let edge = edge(&endpoint, "").await;
    let expected = "example.com / example.com|http|||| none";
    for (number, fields) in [
        "X-Forwarded-Host: evil.example\r\n",
        "X-Forwarded-Proto: https\r\n",
        "X-Original-URL: /evil\r\n",
        "X-Rewrite-URL: /evil\r\n",
        "X-Host: evil.example\r\n",
        "X-HTTP-Method-Override: POST\r\n",
        "Forwarded: host=evil.example\r\n",
        "X_Forwarded_Host: evil.example\r\n",
        "Connection: X-Real-IP\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        // Each is the first for its target, so that it is the one whose answer is stored.
        let target = format!("GET /{number} HTTP/1.1\r\nHost: example.com\r\n");
        edge.send(&format!("{target}{fields}\r\n")).await;
        let victim = edge.send(&format!("{target}\r\n")).await;
        assert_eq!(victim.text(), expected.replacen(" / ", &format!(" /{number} "), 1), "{fields}");
    }
}

#[tokio::test]
async fn targets_that_endpoints_may_take_for_others_are_others() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    let mut seen = std::collections::HashSet::new();
    for (target, host) in [
        ("/", "example.com"),
        ("/", "example.com:8080"),
        ("/", "other.example"),
        ("/?", "example.com"),
        ("/?a=1", "example.com"),
        ("/?A=1", "example.com"),
        ("/?a=1&", "example.com"),
        ("/?a=%31", "example.com"),
        ("/;a=1", "example.com"),
        ("/a%2Fb", "example.com"),
        ("/a/b", "example.com"),
        ("/A/b", "example.com"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let first = edge.send(&request).await.text().to_owned();
        assert!(seen.insert(first.clone()), "{target} of {host} got {first}");
        assert_eq!(edge.send(&request).await.text(), first, "{target} of {host}");
    }
    let same = edge.send("GET / HTTP/1.1\r\nHost: Example.COM\r\n\r\n").await;
    assert_eq!(same.text(), edge.get("/").await.text());
    assert!(did(&same).starts_with("evener; hit"), "{}", did(&same));
}

#[tokio::test]
async fn requests_with_bodies_and_other_methods_store_nothing() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nevil", "answer 1"),
        (
            "GET / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
            "answer 2",
        ),
        ("OPTIONS / HTTP/1.1\r\nHost: example.com\r\n\r\n", "answer 3"),
        ("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nevil", "answer 4"),
        (GET, "answer 5"),
        ("GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nevil", "answer 6"),
        (GET, "answer 5"),
    ] {
        assert_eq!(edge.send(request).await.text(), expected, "{request}");
    }
}

/// Answers that are cut off look whole to the next client, if they are stored.
#[tokio::test]
async fn answers_that_broke_off_are_not_stored() {
    for cut in [
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\npart",
    ] {
        let count = AtomicUsize::new(0);
        let endpoint = Endpoint::scripted(move |mut exchange| {
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if is_first {
                    exchange.send(cut).await;
                    return None;
                }
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole").await;
                Some(exchange)
            }
        })
        .await;
        let edge = edge(&endpoint, "").await;
        let mut client = edge.connect().await;
        client.send(GET).await;
        client.head().await;
        eventually("the next one gets all of it", async || edge.get("/").await.text() == "whole").await;
    }
}

#[tokio::test]
async fn statuses_that_say_nothing_for_others_are_not_stored() {
    for status in
        ["206 Partial Content\r\nContent-Range: bytes 0-1/5", "304 Not Modified", "500 Oops", "503 Busy"]
    {
        let count = AtomicUsize::new(0);
        let endpoint = Endpoint::with(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 if status.starts_with("304") => format!("HTTP/1.1 {status}\r\n\r\n"),
            0 => format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"),
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole".to_owned(),
        })
        .await;
        let edge = edge(&endpoint, "ttl: { 200: 1h }").await;
        edge.get("/").await;
        assert_eq!(edge.get("/").await.text(), "whole", "{status}");
    }
}

#[tokio::test]
async fn what_is_longer_than_allowed_is_passed_on_and_not_stored() {
    let long = "x".repeat(300 * 1024);
    for chunked in [false, true] {
        let long = long.clone();
        let endpoint = Endpoint::with(move |_| {
            let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
            match chunked {
                true => {
                    format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len())
                }
                false => format!("{head}Content-Length: {}\r\n\r\n{long}", long.len()),
            }
        })
        .await;
        let edge = edge(&endpoint, "").await;
        for _ in 0..2 {
            assert_eq!(edge.get("/").await.body.len(), 300 * 1024, "{chunked}");
        }
        assert_eq!(endpoint.requests().len(), 2, "{chunked}");
    }
}

#[tokio::test]
async fn filters_hold_for_stored_answers_too() {
    let endpoint = counting("Cache-Control: max-age=60\r\n").await;
    let text = super::config(&[endpoint.address().to_string()], "");
    let filters =
        "filters: [{ rate_limit: { rate: 2/h } }, { response_headers: { set: { X-Edge: 'yes' } } }, ";
    let edge = crate::support::Edge::start(&text.replace("filters: [", filters)).await;
    for status in [200, 200, 429] {
        let response = edge.get("/").await;
        assert_eq!((response.status, response.header("x-edge").is_some()), (status, status == 200));
    }
    assert_eq!(endpoint.requests().len(), 1);
}
